"""iSAID: `<split>/images/<P>.png`, class colours in `Semantic_masks/images`, instance colours in `Instance_masks/images`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.readers.dense import colours_table, uncounted
from earthsynth_factory.importers.readers.files import folders_named, listing, prefixed, split_of
from earthsynth_factory.importers.scene import (
    Aid,
    DatasetInfo,
    Labels,
    Reader,
    Request,
    Scene,
    SceneObject,
    Source,
)
from earthsynth_factory.io.label_rasters import colour_raster
from earthsynth_factory.io.pictures import Picture, pack_colours

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
    0xFFFFFF: "background",
}
"""White is the padding of cut patches."""

INFO = DatasetInfo(
    name="iSAID",
    source="Zamir et al., CVPR workshops 2019; imagery of DOTA-v1.0",
    licence="academic use; imagery under DOTA's terms",
    credit="iSAID",
    dense=False,
)

BAND = 1024
"""Rows of an instance image that are read at once."""

_CLASS, _INSTANCE = "_instance_color_RGB", "_instance_id_RGB"


class Isaid(Reader):
    """An instance is what one colour of the instance image covers; its class is that of most of its pixels."""

    kind = "isaid"

    def recognise(self, path: Path) -> str | None:
        for folder in folders_named(path, "Semantic_masks"):
            if listing(folder / "images", ".png"):
                return f"{folder} with class colours"
        return None

    def open(self, request: Request) -> Source:
        scenes = []
        for folder in folders_named(request.path, "Semantic_masks"):
            home = folder.parent
            for mask in listing(folder / "images", ".png"):
                name = mask.stem.removesuffix(_CLASS)
                image = home / "images" / f"{name}.png"
                image = image if image.is_file() else home / "images" / "images" / f"{name}.png"
                if not image.is_file():
                    request.notes.fault(mask, f"its image {name}.png is missing")
                    continue
                instances = home / "Instance_masks" / "images" / f"{name}{_INSTANCE}.png"
                labels = (mask, instances if instances.is_file() else None)
                group = f"iSAID_{name.split('_')[0]}"
                scenes.append(Scene(prefixed("iSAID_", name), image, labels, group, split_of(home, request.path)))
        if not scenes:
            raise SourceError(f"{request.path}: no Semantic_masks/images/*.png with images/; give iSAID's folder")
        return Source(INFO, uncounted(COLOURS), scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        mask, instances = scene.labels
        table = colours_table(COLOURS, aid.classes)
        objects = _objects(mask, instances, table, aid.size, aid.classes) if instances else ()
        return Labels(colour_raster(mask, table), objects)


def _objects(
    mask: Path, instances: Path, table: dict[int, int], size: tuple[int, int], classes: ClassMap
) -> tuple[SceneObject, ...]:
    from skimage.measure import regionprops  # takes half a second to import

    numbers = _numbers(instances, size)
    raster = colour_raster(mask, table)
    if raster.shape != size:
        raise SourceError(f"{mask}: {raster.shape[1]}×{raster.shape[0]} pixels, the image has {size[1]}×{size[0]}")
    categories = raster.rows(0, size[0])
    raster.close()
    found = []
    for region in regionprops(numbers):
        top, left, bottom, right = region.bbox
        inside = region.image
        category = int(np.bincount(categories[top:bottom, left:right][inside]).argmax())
        if category:
            found.append(SceneObject(classes.taxonomy[category].name, top, left, np.asarray(inside, bool)))
    return tuple(found)


def _numbers(path: Path, size: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """(H, W) 1, 2, 3 … for each colour but black and white, read by bands."""
    known: dict[int, int] = {0x000000: 0, 0xFFFFFF: 0}
    numbers = np.zeros(size, np.int32)
    with Picture(path) as picture:
        if picture.shape != size:
            raise SourceError(
                f"{path}: {picture.shape[1]}×{picture.shape[0]} pixels, the image has {size[1]}×{size[0]}"
            )
        for top in range(0, size[0], BAND):
            bottom = min(top + BAND, size[0])
            colours, place = np.unique(pack_colours(picture.rgb(top, bottom)), return_inverse=True)
            ids = [known.setdefault(int(colour), len(known) - 1) for colour in colours]
            numbers[top:bottom] = np.array(ids, np.int32)[place].reshape(bottom - top, size[1])
    return numbers
