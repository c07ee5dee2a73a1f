"""Files as such: written whole or not at all, read within bounds. Nothing in here knows what a dataset is."""
