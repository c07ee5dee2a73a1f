"""Datasets on disk, whichever way they came to be: every path once, one way to read each."""
