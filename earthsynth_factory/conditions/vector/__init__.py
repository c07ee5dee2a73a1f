"""The `vector` source: layouts of real places, from OpenStreetMap or any vector file.

rules       what of a file is which category, and how wide its lines are; osm.toml is the table for OpenStreetMap's tags
tags        which features a rule's `where` picks
layers      features as they lie in the file      projection  the system in metres that tiles lie in
features    shapes in metres, in the order they are painted        cutting     shapes of many corners as pieces of few
blocks      squares of ground, each of one split   painting    a tile's mask and instances
spec        the recipe block and the source
"""

from earthsynth_factory.conditions.vector.spec import VectorSpec

__all__ = ["VectorSpec"]
