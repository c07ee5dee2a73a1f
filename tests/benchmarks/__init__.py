"""Measurements, printed as tables; never run as tests."""
