"""DeepGlobe: `<id>_sat.jpg` with `<id>_mask.png`. Land cover has colours, roads are grey; both stand at 0.5 m."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.dense import colours_table, uncounted
from earthsynth_factory.importers.readers.files import prefixed, split_of, walk
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source
from earthsynth_factory.io.label_rasters import colour_raster, threshold_raster
from earthsynth_factory.io.pictures import Picture

COLOURS = {
    0x00FFFF: "urban land",
    0xFFFF00: "agriculture land",
    0xFF00FF: "rangeland",
    0x00FF00: "forest land",
    0x0000FF: "water",
    0xFFFFFF: "barren land",
    0x000000: "background",
}

THRESHOLD = 128
"""Grey value from which a road mask says road (the challenge's own rule)."""

LOOKED_AT = 16
"""Masks of one size that are looked at for a colour."""

METRES_PER_PIXEL = 0.5


class DeepGlobe(Reader):
    """Which of the two sets a mask belongs to is told by the masks of its size: a black and white one may be either."""

    kind = "deepglobe"

    def recognise(self, path: Path) -> str | None:
        for mask in islice(_masks(path), 1):
            return f"{mask.name} with {mask.name.replace('_mask.png', '_sat.jpg')}"
        return None

    def open(self, request: Request) -> Source:
        by_size: dict[tuple[int, int], list[tuple[Path, Path]]] = {}
        for mask in _masks(request.path):
            image = _image(mask)
            try:
                with Picture(mask) as picture:
                    by_size.setdefault(picture.shape, []).append((mask, image))
            except SourceError as error:
                request.notes.error(error)
        scenes: list[Scene] = []
        words: dict[str, int] = {}
        dense = True
        for pairs in by_size.values():
            cover = any(_coloured(mask) for mask, _ in pairs[:LOOKED_AT])
            words |= uncounted(COLOURS) if cover else {"road": 0}
            dense &= cover
            for mask, image in pairs:
                stem = prefixed("DG_", mask.name.removesuffix("_mask.png"))
                labels = (mask, "cover" if cover else "road")
                scenes.append(Scene(stem, image, labels, stem, split_of(mask.parent, request.path), METRES_PER_PIXEL))
        scenes.sort(key=lambda scene: (scene.stem, str(scene.image)))
        if not scenes:
            raise SourceError(f"{request.path}: no <id>_mask.png with <id>_sat.jpg; give DeepGlobe's folder")
        return Source(_info(dense), words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        mask, which = scene.labels
        if which == "road":
            return Labels(raster=threshold_raster(mask, THRESHOLD, aid.classes.id_of("road")))
        return Labels(raster=colour_raster(mask, colours_table(COLOURS, aid.classes), aid.notes.remarks))


def _info(dense: bool) -> DatasetInfo:
    return DatasetInfo(
        name="DeepGlobe land cover" if dense else "DeepGlobe",
        source="Demir et al., CVPR workshops 2018; DigitalGlobe imagery",
        licence="DeepGlobe challenge terms (non-commercial research)",
        credit="DeepGlobe 2018",
        dense=dense,
    )


def _masks(path: Path) -> list[Path]:
    return [p for p in walk(path) if p.name.endswith("_mask.png") and _image(p).is_file()]


def _image(mask: Path) -> Path:
    """Beside the mask, or in images/ beside masks/."""
    name = mask.name.replace("_mask.png", "_sat.jpg")
    beside = mask.with_name(name)
    return beside if beside.is_file() else mask.parent.parent / "images" / name


def _coloured(mask: Path) -> bool:
    with Picture(mask) as picture:
        try:
            picture.ids(0, picture.shape[0])
        except SourceError:
            return True
    return False
