"""YOLO: `labels/<x>.txt` beside `images/<x>.*`; lines of a box, a polygon, or the four corners of an oriented box.

Numbers are shares of the image's width and height.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.files import by_stem, folders_named, listing, read_lines, safe_stem, split_of
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Notes, Reader, Request, Scene, Source
from earthsynth_factory.importers.yaml_of_strangers import read_yaml


class Yolo(Reader):
    """Class names come from `data.yaml` (any YAML with `names`), `classes.txt` or `obj.names`."""

    kind = "yolo"

    def recognise(self, path: Path) -> str | None:
        names = _names_file(path)
        if names is None or not any(True for _ in _pairs(path)):
            return None
        return f"{names.name} names the classes, and images have .txt files"

    def open(self, request: Request) -> Source:
        file = _names_file(request.path)
        if file is None:
            raise SourceError(
                f"{request.path}: no class names; a data.yaml with `names`, or classes.txt, is wanted there"
            )
        names = read_names(file)
        words, scenes = Counter(dict.fromkeys(names.values(), 0)), []
        for image, label in _pairs(request.path):
            words.update(_words(label, names))
            stem = safe_stem(image.stem)
            scenes.append(Scene(stem, image, (label, names), stem, split_of(image.parent, request.path)))
        if not scenes:
            raise SourceError(f"{request.path}: no images with labels/ beside them")
        info = DatasetInfo(request.path.name, "YOLO annotations", "unknown", "", dense=False)
        return Source(info, words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        label, names = scene.labels
        return Labels(objects=filled(_drawn(label, names, aid.size, aid.notes), aid.size, aid.notes))


def read_names(path: Path) -> dict[int, str]:
    """Class number → name. Raises `SourceError` where the file has none."""
    if path.suffix in (".txt", ".names"):
        return dict(enumerate(line.strip() for line in read_lines(path) if line.strip()))
    names = _yaml(path).get("names")
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(names)}
    if isinstance(names, dict) and all(isinstance(number, int) for number in names):
        return {number: str(name) for number, name in names.items()}
    raise SourceError(f"{path}: `names` is neither a list nor numbers with names")


def _names_file(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    plain = [path / name for name in ("classes.txt", "obj.names", "labels/classes.txt")]
    for file in (*listing(path, ".yaml", ".yml"), *(file for file in plain if file.is_file())):
        if file.suffix in (".txt", ".names") or "names" in _yaml(file):
            return file
    return None


def _yaml(path: Path) -> dict[str, Any]:
    document = read_yaml(path)
    return document if isinstance(document, dict) else {}


def _pairs(path: Path) -> Iterator[tuple[Path, Path]]:
    """Images with their label files; an image without one in a folder of labels holds nothing (YOLO's own rule)."""
    for folder in folders_named(path, "images"):
        for inner in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
            labels = folder.parent / "labels" / inner.relative_to(folder)
            if labels.is_dir():
                yield from ((image, labels / f"{image.stem}.txt") for image in listing(inner))
    for folder in folders_named(
        path, "labels"
    ):  # <split>/{images,labels} is met above; <split>/labels beside images is not
        if not (folder.parent / "images").is_dir():
            images = by_stem(folder.parent)
            yield from ((images[label.stem], label) for label in listing(folder, ".txt") if label.stem in images)
    images = by_stem(path)
    yield from ((images[label.stem], label) for label in listing(path, ".txt") if label.stem in images)


def _words(label: Path, names: dict[int, str]) -> Iterator[str]:
    for line in read_lines(label) if label.is_file() else ():
        number = line.split(" ", 1)[0]
        if number.isdigit() and int(number) in names:
            yield names[int(number)]


def _drawn(label: Path, names: dict[int, str], size: tuple[int, int], notes: Notes) -> Iterator[Drawn]:
    for number, line in enumerate(read_lines(label) if label.is_file() else (), start=1):
        if not line.strip():
            continue
        try:
            index, *values = line.split()
            given = _given([float(value) for value in values], size)
            yield Drawn(names[int(index)], given, f"{label}:{number}")
        except (ValueError, KeyError):
            notes.fault(f"{label}:{number}", f"{line[:80]!r} is not a known class with a box or polygon of shares")


def _given(values: list[float], size: tuple[int, int]) -> Given:
    """A box of four numbers, an oriented one of eight, else a polygon; of a quadrilateral nobody can tell which it is."""
    height, width = size
    if len(values) == 4:
        x, y, w, h = values[0] * width, values[1] * height, values[2] * width, values[3] * height
        return Given.of_box(x - w / 2, y - h / 2, w, h)
    if len(values) < 6 or len(values) % 2:
        raise ValueError
    points = [value * (height if place % 2 else width) for place, value in enumerate(values)]
    return Given.of_corners(points) if len(points) == 8 else Given.of_polygons([points])
