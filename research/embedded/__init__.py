"""The embedded models from nothing: CLIP and segmenter; scenes → decoder → flow → few steps.

README.md is the page to read first, then `stages`: the whole order, every stage resumable. `python -m research.embedded
RECIPE` runs it (`make`), `export` and `evaluate` write what ships, `report` measures it on scenes that no training saw.
"""
