"""Real datasets → the prepared layout, which conditions, training and calibration read. `prepare` is the way in; README.md."""
