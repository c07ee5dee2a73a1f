"""DeepGlobe: `<id>_sat.jpg` with `<id>_mask.png`. Land cover has colours, roads are grey; both stand at 0.5 m."""

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
from earthsynth_factory.importers.words_of_layout import prefixed, split_of
from earthsynth_factory.io.label_rasters import colour_raster, threshold_raster
from earthsynth_factory.io.pictures import Picture

COLOURS = {
    0x00FFFF: "urban land",
    0xFFFF00: "agriculture land",
    0xFF00FF: "rangeland",
    0x00FF00: "forest land",
    0x0000FF: "water",
    0xFFFFFF: "barren land",
    0x000000: "ignore",
}
"""Black is unknown."""

THRESHOLD = 128
"""Value from which a channel counts as 255, and a road mask says road (the challenge's own rule)."""

LOOKED_AT = 16
"""Masks of one size that are looked at for a colour."""

METRES_PER_PIXEL = 0.5


class DeepGlobe(Reader):
    """Which of the two sets a mask belongs to is told by the masks of its size: a black and white one may be either."""

    kind = "deepglobe"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for mask, image in _pairs(tree):
            return Evidence(Strength.OWN, f"{mask.name} with {image.name}")
        return None

    def open(self, request: ReadRequest) -> Source:
        by_size: dict[tuple[int, int], list[tuple[Path, Path]]] = {}
        for mask, image in _pairs(request.tree):
            try:
                with Picture(mask) as picture:
                    by_size.setdefault(picture.shape, []).append((mask, image))
            except SourceError as error:
                request.notes.error(error)
        scenes: list[Scene] = []
        words: dict[str, int | None] = {}
        dense = True
        for pairs in by_size.values():
            cover = any(_coloured(mask) for mask, _ in pairs[:LOOKED_AT])
            words |= uncounted(COLOURS) if cover else {"road": None}
            dense &= cover
            for mask, image in pairs:
                stem = prefixed("DG_", mask.stem[: -len("_mask")])
                labels = (mask, "cover" if cover else "road")
                scenes.append(Scene(stem, image, labels, stem, split_of(mask, request.tree.root), METRES_PER_PIXEL))
        scenes.sort(key=lambda scene: (scene.stem, str(scene.image)))
        if not scenes:
            raise SourceError(f"{request.path}: no <id>_mask.png with <id>_sat.jpg; give DeepGlobe's folder")
        return Source(_info(dense), words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        mask, which = scene.labels
        if which == "road":
            return SceneLabels(raster=threshold_raster(mask, THRESHOLD, context.classes.id_of("road")))
        return SceneLabels(raster=colour_raster(mask, colours_table(COLOURS, context.classes), context.notes.remarks))


def _info(dense: bool) -> DatasetInfo:
    return DatasetInfo(
        name="DeepGlobe land cover" if dense else "DeepGlobe",
        source="Demir et al., CVPR workshops 2018; DigitalGlobe imagery",
        licence="DeepGlobe challenge terms (non-commercial research)",
        credit="DeepGlobe 2018",
        dense=dense,
    )


def _pairs(tree: Tree) -> list[tuple[Path, Path]]:
    """Masks with their images: beside the mask, or in images/ beside masks/."""
    found = []
    for folder in tree.folders:
        masks = [p for p in tree.listing(folder, ".png") if re.fullmatch(r"\d+_mask", p.stem, re.IGNORECASE)]
        beside = tree.inner(folder.parent, "images") if masks else None
        images = {path.stem.lower(): path for home in (beside, folder) if home for path in tree.listing(home)}
        for mask in masks:
            image = images.get(f"{mask.stem[: -len('_mask')]}_sat")
            if image is not None:
                found.append((mask, image))
    return found


def _coloured(mask: Path) -> bool:
    with Picture(mask) as picture:
        try:
            picture.ids(0, picture.shape[0])
        except SourceError:
            return True
    return False
