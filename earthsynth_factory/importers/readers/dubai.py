"""Semantic segmentation of Dubai (MBRSC satellites, labelled by Humans in the Loop): seven tiles of nine parts each."""

from __future__ import annotations

import re
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.dense import colours_table, uncounted
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    Source,
    Strength,
)
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.io.label_rasters import colour_raster

METRES_PER_PIXEL = 0.8
"""Our estimate: villas, lanes and car parks measured by eye. The publisher states none."""

HELD_OUT = frozenset({"Tile 2"})
"""Whole tiles that training never sees."""

COLOURS = {
    0x3C1098: "building",
    0x8429F6: "bare land",
    0x6EC1E4: "road",
    0xFEDD3A: "grass",
    0xE2A929: "water",
    0x9B9B9B: "ignore",
    0x000000: "ignore",
}
"""The colours the masks really hold; the dataset's own classes.json lists others. Grey is unlabelled, as is black."""

INFO = DatasetInfo(
    name="Semantic segmentation of aerial imagery, Dubai",
    source="MBRSC satellite imagery, labelled by Humans in the Loop",
    licence="CC0",
    credit="Mohammed Bin Rashid Space Centre; Humans in the Loop",
    dense=True,
)


class Dubai(Reader):
    """Reads `Tile N/{images,masks}`: dense RGB masks."""

    kind = "dubai"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        found = [
            tile for tile in _tiles(tree) if (mask := _masks(tree, tile)) and mask[0].stem.startswith("image_part_")
        ]
        return Evidence(Strength.OWN, f"{tree.relative(found[0])} of masks called image_part_…") if found else None

    def open(self, request: ReadRequest) -> Source:
        tree, scenes = request.tree, []
        for tile in _tiles(tree):
            beside = tree.inner(tile, "images")
            images = tree.by_stem(beside) if beside else {}
            for mask in _masks(tree, tile):
                if mask.stem in images:
                    scenes.append(_scene(tile, images[mask.stem], mask))
                else:
                    request.notes.fault(mask, "its image is missing")
        if not scenes:
            raise SourceError(f"{request.path}: no `Tile N/masks/*.png`; give the folder that holds the tiles")
        return Source(INFO, uncounted(COLOURS), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(
            raster=colour_raster(scene.labels, colours_table(COLOURS, context.classes), context.notes.remarks)
        )


def _tiles(tree: Tree) -> list[Path]:
    return [folder for folder in tree.folders if re.fullmatch(r"Tile \d+", folder.name)]


def _masks(tree: Tree, tile: Path) -> list[Path]:
    folder = tree.inner(tile, "masks")
    return tree.listing(folder, ".png") if folder else []


def _scene(tile: Path, image: Path, mask: Path) -> Scene:
    stem = f"{tile.name.replace(' ', '').lower()}_{mask.stem.removeprefix('image_')}"
    split = "test" if tile.name in HELD_OUT else "train"
    return Scene(stem, image, mask, tile.name, split, METRES_PER_PIXEL)
