"""Real datasets → the prepared layout that conditions, training and calibration read; see README.md."""
