"""Plain label images beside images, with a class table: ids or colours, in `classes.json` or in the map file."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.readers.dense import colours_table, ids_table
from earthsynth_factory.importers.readers.files import (
    by_stem,
    folders_named,
    read_json,
    read_lines,
    safe_stem,
    split_of,
)
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source
from earthsynth_factory.io.label_rasters import colour_raster, id_raster

PAIRS = (
    ("images", "masks"),
    ("images", "labels"),
    ("image", "label"),
    ("img_dir", "ann_dir"),
    ("images", "annotations"),
)
"""Folder names that go together; below both may be folders for splits."""

SUFFIXES = ("", "_mask", "_label", "_labelTrainIds", "_gt")
"""What a mask's stem may have after the image's."""


class Masks(Reader):
    """`classes.json` is `{"1": "road"}`, `{"#3C1098": "building"}` or a list of names from 0, which may be under `classes` as
    the `semantic` export has it; `classes.txt` is a name a line from 0.
    """

    kind = "masks"

    def recognise(self, path: Path) -> str | None:
        table = _table_file(path)
        if table is None:
            return None
        for image, mask in _pairs(path):
            if mask is not None:
                return f"{table.name}, and label images such as {mask.name} for {image.name}"
        return None

    def open(self, request: Request) -> Source:
        ids, colours = _table(request.path, request.classes)
        scenes = []
        for image, mask in _pairs(request.path):
            if mask is None:
                request.notes.fault(image, "its mask is missing")
                continue
            stem = safe_stem(image.stem)
            labels = (mask, tuple(ids.items()), tuple(colours.items()))
            scenes.append(Scene(stem, image, labels, stem, split_of(image.parent, request.path)))
        if not scenes:
            raise SourceError(f"{request.path}: no images/ with masks/ of the same names")
        words = dict.fromkeys([*ids.values(), *colours.values()], 0)
        info = DatasetInfo(request.path.name, "label images", "unknown", "", dense=False)
        return Source(info, words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        mask, ids, colours = scene.labels
        if colours or aid.classes.colours:
            return Labels(colour_raster(mask, {0: 0} | colours_table(dict(colours), aid.classes)))
        return Labels(id_raster(mask, {0: 0, 255: 0} | ids_table(dict(ids), aid.classes)))


def _table_file(path: Path) -> Path | None:
    found = [path / name for name in ("classes.json", "classes.txt") if (path / name).is_file()]
    return found[0] if found else None


def _table(path: Path, classes: ClassMap) -> tuple[dict[int, str], dict[int, str]]:
    """Words by id and by colour of the class file; the map file's own ids and colours come on top in `labels`."""
    file = _table_file(path)
    if file is None:
        if classes.ids or classes.colours:
            return {}, {}
        raise SourceError(f"{path}: label images need a class table: classes.json there, or ids or colours in --map")
    if file.suffix == ".txt":
        return dict(enumerate(line.strip() for line in read_lines(file) if line.strip())), {}
    document = read_json(file)
    if isinstance(document, dict) and isinstance(document.get("classes"), list):
        document = document["classes"]
    names = dict(enumerate(document)) if isinstance(document, list) else document
    if not isinstance(names, dict):
        raise SourceError(f"{file}: a list of names, or ids or colours with names, is wanted")
    ids: dict[int, str] = {}
    colours: dict[int, str] = {}
    for key, name in names.items():
        try:
            if str(key).startswith("#"):
                colours[int(str(key)[1:], 16)] = str(name)
            else:
                ids[_byte(key)] = str(name)
        except ValueError:
            raise SourceError(f'{file}: key {key!r} is neither an id 0–255 nor a colour "#RRGGBB"') from None
    return ids, colours


def _byte(key: object) -> int:
    number = int(str(key))
    if not 0 <= number <= 255:
        raise ValueError
    return number


def _pairs(path: Path) -> list[tuple[Path, Path | None]]:
    """Images with their masks, None where one lacks; empty where no image has one."""
    for images, masks in PAIRS:
        found: list[tuple[Path, Path | None]] = []
        for folder in folders_named(path, images):
            beside = folder.parent / masks
            for inner in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
                there = by_stem(beside / inner.relative_to(folder))
                for stem, image in by_stem(inner).items():
                    mask = next((there[stem + end] for end in SUFFIXES if stem + end in there), None)
                    found.append((image, mask))
        if any(mask for _, mask in found):
            return found
    return []
