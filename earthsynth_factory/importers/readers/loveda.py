"""LoveDA: `{Train,Val}/{Urban,Rural}/{images_png,masks_png}/<n>.png`, seven classes at 0.3 m."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import table_of_names
from earthsynth_factory.importers.readers.dense import ids_table, uncounted
from earthsynth_factory.importers.readers.files import by_stem, folders_named, listing, prefixed, split_of
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source
from earthsynth_factory.io.label_rasters import id_raster

WORDS = table_of_names(("background", "background", "building", "road", "water", "barren", "forest", "agriculture"))
"""0 is no-data and 1 "anything else": neither is a category."""

INFO = DatasetInfo(
    name="LoveDA",
    source="Wang et al., NeurIPS 2021 datasets track",
    licence="CC BY-NC-SA 4.0",
    credit="LoveDA, Wuhan University",
    dense=True,
)

METRES_PER_PIXEL = 0.3


class LoveDa(Reader):
    """Masks are found by their folder's name, so that the nesting of the published archives does not matter."""

    kind = "loveda"

    def recognise(self, path: Path) -> str | None:
        found = [folder for folder in folders_named(path, "masks_png") if (folder.parent / "images_png").is_dir()]
        return f"{found[0]} beside images_png" if found else None

    def open(self, request: Request) -> Source:
        scenes = []
        for folder in folders_named(request.path, "masks_png"):
            images = by_stem(folder.parent / "images_png")
            for mask in listing(folder, ".png"):
                if mask.stem not in images:
                    request.notes.fault(mask, "its image is missing")
                    continue
                stem = prefixed("LD_", mask.stem)
                scenes.append(
                    Scene(stem, images[mask.stem], mask, stem, split_of(folder, request.path), METRES_PER_PIXEL)
                )
        if not scenes:
            raise SourceError(f"{request.path}: no masks_png/ beside images_png/; give LoveDA's top folder, unpacked")
        return Source(INFO, uncounted(WORDS), scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return Labels(raster=id_raster(scene.labels, ids_table(WORDS, aid.classes)))
