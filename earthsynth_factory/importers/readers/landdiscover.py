"""LandDiscover50K, GSNet's layout: `TR_Image/*.png`, `GT_ID/*.png` of EarthSynth's ids 0–39; our `gsnet` export writes it."""

from __future__ import annotations

import re

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers import beside
from earthsynth_factory.importers.readers.dense import ids_table
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    Source,
)
from earthsynth_factory.importers.words_of_layout import split_word
from earthsynth_factory.io.label_rasters import id_raster

CLASSES = 40
MASKS, IMAGES = "GT_ID", "TR_Image"


class LandDiscover(Reader):
    """Splits stand beside each other as LandDiscover50K_<split>. 255 is ignored."""

    kind = "landdiscover50k"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return beside.masks_evidence(request.tree, MASKS, IMAGES)

    def open(self, request: ReadRequest) -> Source:
        scenes = []
        for mask, image in beside.masks_and_images(request, MASKS, IMAGES):
            split = split_word(re.sub(r"(?i)landdiscover50k_?", "", mask.parent.parent.name))
            scenes.append(Scene(mask.stem, image, mask, mask.stem, split))
        if not scenes:
            raise SourceError(f"{request.path}: no GT_ID/*.png with TR_Image/*.png")
        words = [category.name for category in earthsynth()][:CLASSES]
        licence = "unknown; LandDiscover50K itself is under the terms of its sources"
        info = DatasetInfo(request.name, "LandDiscover50K's layout (GSNet)", licence, "", dense=False)
        return Source(info, dict.fromkeys(words), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        words = {category.id: category.name for category in earthsynth() if category.id < CLASSES}
        return SceneLabels(
            raster=id_raster(scene.labels, ids_table(words | {255: "ignore"}, context.classes), context.notes.remarks)
        )
