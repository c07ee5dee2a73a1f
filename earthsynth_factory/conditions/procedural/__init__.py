"""The `procedural` source: layouts drawn to scale, with no data at all.

shapes      outlines in metres and where they lie          canvas     rasterises them, with instances and occlusion
aircraft_and_ships, vehicles, structures  silhouettes of things  sizes      how long and wide the things truly are
figures     name → silhouette of a true size               drawing    what a scene draws with: names, counts, knobs
terrain, roads  ground and networks                        scenes/    families of layouts, and which shows what
spec        the recipe block and the source
"""

from earthsynth_factory.conditions.procedural.spec import ProceduralSpec

__all__ = ["ProceduralSpec"]
