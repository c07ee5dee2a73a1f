"""GID land cover in 224-pixel crops (Gaofen-2, about 4 m): five classes and "undefined"."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.domain.seeds import unit
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import table_of_names
from earthsynth_factory.importers.readers.dense import ids_table, uncounted
from earthsynth_factory.importers.readers.files import listing
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source
from earthsynth_factory.io.label_rasters import id_raster
from earthsynth_factory.io.pictures import Picture

METRES_PER_PIXEL = 4.0
"""Gaofen-2's multispectral ground sampling; that the crops were not resampled is our assumption."""

HELD_OUT = 0.1
"""Share of files held out, chosen by a hash of its name: the crops do not say which scene they come from."""

SIDE = 224

WORDS = table_of_names(("urban land", "agriculture land", "forest land", "grass", "water", "background"))
"""Label 0 is a class of its own here, not background."""

INFO = DatasetInfo(
    name="GID (five classes), 224-pixel crops",
    source="Gaofen Image Dataset (Gaofen-2)",
    licence="unclear; research use assumed",
    credit="Gaofen Image Dataset, Wuhan University",
    dense=True,
)


class Gid(Reader):
    """Reads `{images,labels}`: one label PNG a crop."""

    kind = "gid"

    def recognise(self, path: Path) -> str | None:
        labels = listing(path / "labels", ".png")[:1]
        if not labels or not (path / "images" / f"{labels[0].stem}.jpg").is_file() or (path / "classes.json").exists():
            return None
        with Picture(labels[0]) as picture:
            crop = picture.shape == (SIDE, SIDE) and picture.channels == 1
        return f"labels/*.png of {SIDE}×{SIDE} ids with images/*.jpg" if crop else None

    def open(self, request: Request) -> Source:
        scenes = [_scene(request.path, label) for label in listing(request.path / "labels", ".png")]
        if not scenes:
            raise SourceError(f"{request.path}: no labels/*.png; give the folder that holds images/ and labels/")
        return Source(INFO, uncounted(WORDS), scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return Labels(raster=id_raster(scene.labels, ids_table(WORDS, aid.classes)))


def _scene(path: Path, label: Path) -> Scene:
    split = "test" if unit(0, "gid", label.stem) < HELD_OUT else "train"
    return Scene(label.stem, path / "images" / f"{label.stem}.jpg", label, label.stem, split, METRES_PER_PIXEL)
