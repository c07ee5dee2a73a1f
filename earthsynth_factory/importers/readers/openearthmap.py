"""OpenEarthMap: `<region>/{images,labels}/<region>_<n>.tif`, eight land-cover classes; its xBD images come separately."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import table_of_names
from earthsynth_factory.importers.readers.dense import ids_table, uncounted
from earthsynth_factory.importers.readers.files import folders_named, listing, prefixed, read_lines
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source
from earthsynth_factory.io.label_rasters import id_raster

WORDS = table_of_names(
    ("background", "bare land", "grass", "pavement", "road", "tree", "water", "agriculture land", "building")
)
"""Ids 0–8 are EarthSynth's own."""

INFO = DatasetInfo(
    name="OpenEarthMap",
    source="Xia et al., WACV 2023",
    licence="labels CC BY-NC-SA 4.0; imagery under the terms of each source",
    credit="OpenEarthMap",
    dense=True,
)


class OpenEarthMap(Reader):
    """An image that is missing is counted: xBD's are filled in by a script of the publisher."""

    kind = "openearthmap"

    def recognise(self, path: Path) -> str | None:
        for folder in folders_named(path, "labels"):
            region = folder.parent.name
            if (folder.parent / "images").is_dir() and any(
                p.stem.startswith(f"{region}_") for p in listing(folder, ".tif")
            ):
                return f"{folder}: labels named <region>_<n>.tif beside images/"
        return None

    def open(self, request: Request) -> Source:
        splits = {
            name: split
            for split in ("train", "val", "test")
            for folder in (request.path, *folders_named(request.path, "OpenEarthMap", "OpenEarthMap_wo_xBD"))
            for name in _names(folder / f"{split}.txt")
        }
        scenes = []
        for folder in folders_named(request.path, "labels"):
            for label in listing(folder, ".tif", ".tiff"):
                image = folder.parent / "images" / label.name
                if not image.is_file():
                    request.notes.left_out["image missing (OpenEarthMap leaves out those of xBD)"] += 1
                    continue
                scenes.append(Scene(prefixed("OEMxBD_", label.stem), image, label, label.stem, splits.get(label.name)))
        if not scenes:
            raise SourceError(
                f"{request.path}: no <region>/labels/*.tif with its image; give OpenEarthMap's top folder"
            )
        return Source(INFO, uncounted(WORDS), scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return Labels(raster=id_raster(scene.labels, ids_table(WORDS, aid.classes)))


def _names(path: Path) -> list[str]:
    return [line.strip() for line in read_lines(path) if line.strip()] if path.is_file() else []
