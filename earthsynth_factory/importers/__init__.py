"""Real datasets → the prepared layout that conditions, training and calibration read. `prepare` is the way in (README.md)."""
