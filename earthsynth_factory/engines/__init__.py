"""Engines run tasks side by side. They know nothing of images: a task opens itself on a device and takes items."""
