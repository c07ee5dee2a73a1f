"""EarthSynth-180K: `train.zip_part_*` (or what they hold: `train/{images,masks}`), 512-pixel crops with ids 0–68."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

from earthsynth_factory.datasets.prepared.document import earthsynth_group
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.archives import unpack
from earthsynth_factory.importers.readers.dense import ids_table
from earthsynth_factory.importers.readers.files import by_stem, folders_named, listing, split_of
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source
from earthsynth_factory.io.label_rasters import id_raster

INFO = DatasetInfo(
    name="EarthSynth-180K",
    source="Pan et al., arXiv 2505.12108; OpenEarthMap, LoveDA, DeepGlobe, SAMRS, LAE-1M",
    licence="under the terms of each source (several are non-commercial)",
    credit="EarthSynth",
    dense=False,
)

PREFIXES = ("OEM", "LD_", "DG_", "SOTA_", "SIOR_", "FAST_", "LAE")
"""How the stems of its files begin, by source."""


class EarthSynth180K(Reader):
    """Whole files are taken over as they are: they are crops already."""

    kind = "earthsynth-180k"
    cuts: ClassVar[bool] = False

    def recognise(self, path: Path) -> str | None:
        if parts := _parts(path):
            return f"{parts[0].name} and {len(parts) - 1} more parts"
        for masks in folders_named(path, "masks"):
            beside = masks.parent
            if not (beside / "images").is_dir() or (beside / "dataset.json").is_file():
                continue
            if (beside / "train.jsonl").is_file():
                return f"{masks} beside train.jsonl"
            named = [mask.stem for mask in listing(masks, ".png")[:50] if mask.stem.startswith(PREFIXES)]
            if named:
                return f"{masks} with stems such as {named[0]}"
        return None

    def open(self, request: Request) -> Source:
        root = request.path
        if parts := _parts(request.path):
            root = request.workspace
            unpack(parts, root, _wanted, request.notes)
        scenes = []
        for folder in folders_named(root, "masks"):
            images = by_stem(folder.parent / "images")
            for mask in listing(folder, ".png"):
                image = images.get(mask.stem.replace("mask", "image"))
                if image is None:
                    request.notes.fault(mask, "its image is missing")
                    continue
                group = earthsynth_group(mask.stem)
                scenes.append(Scene(mask.stem, image, mask, group, split_of(folder, root)))
        if not scenes:
            raise SourceError(f"{request.path}: neither train.zip_part_* nor images/ with masks/ in it")
        return Source(INFO, dict.fromkeys((category.name for category in earthsynth()), 0), scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        # Ids beyond EarthSynth's are those that the map file gives to categories of the user's own.
        words = {category.id: category.name for category in aid.classes.taxonomy}
        return Labels(raster=id_raster(scene.labels, ids_table(words, aid.classes)))


def _parts(path: Path) -> list[Path]:
    if path.is_file() and path.suffix == ".zip":
        return [path]
    if not path.is_dir():
        return []
    parts = sorted(path.glob("train.zip_part_*")) or sorted(path.glob("train.zip"))
    _check_sequence(parts)
    return parts


def _check_sequence(parts: list[Path]) -> None:
    """`split` names its parts aa, ab, …: a gap means that one was not fetched."""
    names = [part.name.rpartition("_")[2] for part in parts if "_part_" in part.name]
    for number, name in enumerate(names):
        wanted = chr(ord("a") + number // 26) + chr(ord("a") + number % 26)
        if name != wanted:
            raise SourceError(f"{parts[0].parent}: train.zip_part_{wanted} is missing; fetch every part")


def _wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in (".png", ".jpg") and path.parent.name in ("images", "masks")
