"""iSAID: class colours and object colours of DOTA's scenes, in the authors' two layouts and in mmsegmentation's tiles.

<split>/images/<P>.png, Semantic_masks/images/<P>_instance_color_RGB.png, Instance_masks/images/<P>_instance_id_RGB.png
<split>/images/<P>.png, <P>_instance_color_RGB.png and <P>_instance_id_RGB.png in one folder
img_dir/<split>/<P>_<y0>_<y1>_<x0>_<x1>.png, ann_dir/<split>/…_instance_color_RGB.png of ids 0–15, 255 ignored
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.readers.colour_instances import classed, colour_regions
from earthsynth_factory.importers.readers.dense import colours_table, ids_table, uncounted
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    Raster,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    SceneObject,
    Source,
    Strength,
)
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import prefixed, split_of
from earthsynth_factory.io.label_rasters import colour_raster, id_raster
from earthsynth_factory.io.pictures import Picture

COLOURS = {
    0x000000: "background",
    0x00003F: "ship",
    0x003F3F: "store tank",
    0x003F00: "baseball diamond",
    0x003F7F: "tennis court",
    0x003FBF: "basketball court",
    0x003FFF: "ground track field",
    0x007F3F: "bridge",
    0x007F7F: "large vehicle",
    0x00007F: "small vehicle",
    0x0000BF: "helicopter",
    0x0000FF: "swimming pool",
    0x00BF7F: "roundabout",
    0x007FBF: "soccer ball field",
    0x007FFF: "plane",
    0x00649B: "harbor",
    0xFFFFFF: "ignore",
}
"""White is the padding of cut patches. In the order of mmsegmentation's ids 0–15."""

INFO = DatasetInfo(
    name="iSAID",
    source="Zamir et al., CVPR workshops 2019; imagery of DOTA-v1.0",
    licence="academic use; imagery under DOTA's terms",
    credit="iSAID",
    dense=False,
)

_CLASS, _INSTANCE = "_instance_color_rgb", "_instance_id_rgb"


class Isaid(Reader):
    """An instance is what one colour of the instance image covers; its class is that of most of its pixels."""

    kind = "isaid"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for mask in _ending(tree, _CLASS):
            return Evidence(Strength.OWN, f"{tree.relative(mask)}: class colours")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, finder, scenes = request.tree, ImageFinder(request.tree), []
        instances = {(_name(file, _INSTANCE), split_of(file, tree.root)): file for file in _ending(tree, _INSTANCE)}
        for mask in _ending(tree, _CLASS):
            name, split = _name(mask, _CLASS), split_of(mask, tree.root)
            image = finder.find(f"{name}.png", mask.parent, split)
            if image is None:
                request.notes.fault(mask, f"its image {name}.png is missing, or several have its name")
                continue
            group = prefixed("iSAID_", name.split("_")[0])
            scenes.append(Scene(prefixed("iSAID_", name), image, (mask, instances.get((name, split))), group, split))
        if not scenes:
            raise SourceError(f"{request.path}: no <P>{_CLASS}.png with its image <P>.png; give iSAID's folder")
        return Source(INFO, uncounted(COLOURS), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        mask, instances = scene.labels
        raster = _raster(mask, context)
        return SceneLabels(raster, _objects(raster, instances, context) if instances else ())


def _raster(mask: Path, context: ReadContext) -> Raster:
    """Colours as published, or ids as mmsegmentation's converter writes them."""
    with Picture(mask) as picture:
        ids = picture.channels == 1
    if not ids:
        return colour_raster(mask, colours_table(COLOURS, context.classes), context.notes.remarks)
    words = dict(enumerate(list(COLOURS.values())[:16]))
    return id_raster(mask, ids_table(words | {255: "ignore"}, context.classes), context.notes.remarks)


def _objects(raster: Raster, instances: Path, context: ReadContext) -> tuple[SceneObject, ...]:
    if raster.shape != context.size:
        return ()  # a fault that is told when both are cut
    found = classed(colour_regions(instances, context.size), raster.rows(0, context.size[0]), (BACKGROUND, IGNORE))
    return tuple(replace(one, word=context.classes.taxonomy[category].name) for category, one in found)


def _ending(tree: Tree, end: str) -> list[Path]:
    return [path for path in tree.images() if path.stem.lower().endswith(end)]


def _name(path: Path, end: str) -> str:
    return path.stem[: -len(end)]
