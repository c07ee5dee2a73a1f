"""LandDiscover50K, GSNet's layout: `TR_Image/*.png`, `GT_ID/*.png` of EarthSynth's ids 0–39; our `gsnet` export writes it."""

from __future__ import annotations

import re

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.dense import ids_table
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    Labels,
    ReadContext,
    Reader,
    Request,
    Scene,
    Source,
    Strength,
)
from earthsynth_factory.importers.words_of_layout import split_word
from earthsynth_factory.io.label_rasters import id_raster

CLASSES = 40


class LandDiscover(Reader):
    """Splits stand beside each other as LandDiscover50K_<split>. 255 is ignored."""

    kind = "landdiscover50k"
    forms = ("masks",)

    def recognise(self, request: Request) -> Evidence | None:
        tree = request.tree
        found = [folder for folder in tree.named("GT_ID") if tree.inner(folder.parent, "TR_Image")]
        return Evidence(Strength.OWN, f"{tree.relative(found[0])} beside TR_Image") if found else None

    def open(self, request: Request) -> Source:
        tree, scenes = request.tree, []
        for folder in tree.named("GT_ID"):
            beside = tree.inner(folder.parent, "TR_Image")
            images = tree.by_stem(beside) if beside else {}
            split = split_word(re.sub(r"(?i)landdiscover50k_?", "", folder.parent.name))
            for mask in tree.listing(folder):
                if mask.stem in images:
                    scenes.append(Scene(mask.stem, images[mask.stem], mask, mask.stem, split))
                else:
                    request.notes.fault(mask, "its image is missing")
        if not scenes:
            raise SourceError(f"{request.path}: no GT_ID/*.png with TR_Image/*.png")
        words = [category.name for category in earthsynth()][:CLASSES]
        licence = "unknown; LandDiscover50K itself is under the terms of its sources"
        info = DatasetInfo(request.name, "LandDiscover50K's layout (GSNet)", licence, "", dense=False)
        return Source(info, dict.fromkeys(words), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> Labels:
        words = {category.id: category.name for category in earthsynth() if category.id < CLASSES}
        return Labels(
            raster=id_raster(scene.labels, ids_table(words | {255: "ignore"}, context.classes), context.notes.remarks)
        )
