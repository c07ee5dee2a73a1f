"""The layout that `prepare` writes and every command reads: pictures, masks, objects, `dataset.json`."""
