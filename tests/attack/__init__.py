"""Attacks: kills, damaged and hostile input, failing disks, two of everything at once. `python -m tests.attack` runs all."""
