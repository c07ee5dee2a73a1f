"""LoveDA: `{Train,Val}/{Urban,Rural}/{images_png,masks_png}/<n>.png`, seven classes at 0.3 m."""

from __future__ import annotations

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import table_of_names
from earthsynth_factory.importers.readers import beside
from earthsynth_factory.importers.readers.dense import ids_table, uncounted
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
from earthsynth_factory.importers.words_of_layout import prefixed, split_of
from earthsynth_factory.io.label_rasters import id_raster

WORDS = table_of_names(("ignore", "background", "building", "road", "water", "barren", "forest", "agriculture"))
"""0 is no-data; 1 is "anything else", which is trained and scored."""

INFO = DatasetInfo(
    name="LoveDA",
    source="Wang et al., NeurIPS 2021 datasets track",
    licence="CC BY-NC-SA 4.0",
    credit="LoveDA, Wuhan University",
    dense=True,
)

METRES_PER_PIXEL = 0.3
MASKS, IMAGES = "masks_png", "images_png"


class LoveDa(Reader):
    """Masks are found by their folder's name, so that the nesting of the published archives does not matter."""

    kind = "loveda"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return beside.masks_evidence(request.tree, MASKS, IMAGES)

    def open(self, request: ReadRequest) -> Source:
        scenes = []
        for mask, image in beside.masks_and_images(request, MASKS, IMAGES):
            stem, split = prefixed("LD_", mask.stem), split_of(mask, request.tree.root)
            scenes.append(Scene(stem, image, mask, stem, split, METRES_PER_PIXEL))
        if not scenes:
            raise SourceError(f"{request.path}: no masks_png/ beside images_png/; give LoveDA's top folder")
        return Source(INFO, uncounted(WORDS), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(raster=id_raster(scene.labels, ids_table(WORDS, context.classes), context.notes.remarks))
