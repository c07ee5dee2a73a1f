"""Real datasets → the prepared layout, which conditions, training and calibration read. `prepare` is the way in.

scene.py says what a reader gives, readers/ holds one a format, crops.py cuts, scene_work.py writes, finish.py lists.
"""
