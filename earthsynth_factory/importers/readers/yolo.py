"""YOLO: a text file an image, with lines of a box, a polygon, or the four corners of an oriented box, in shares of its size.

Class names come from `data.yaml` (or any YAML with `names`), `classes.txt` or `obj.names`; the splits from the folders or
lists that `data.yaml` or `obj.data` names, else from folders called so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.yolo_layout import Names, Splits, find_names, pairs, without_image
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    Notes,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    Source,
    Strength,
)
from earthsynth_factory.importers.texts import read_lines, read_names
from earthsynth_factory.importers.words_of_layout import group_of, safe_stem, split_of

LOOKED_AT = 16
FAR = 2.0
"""A share beyond this is no share: such files hold pixels."""


class Yolo(Reader):
    """An image without a text file, in a folder where others have one, holds nothing (YOLO's own rule)."""

    kind = "yolo"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        names = find_names(tree)
        found = [label for _, label in pairs(tree) if label][:LOOKED_AT]
        if not any(_looks_like_yolo(label) for label in found):
            return None
        if not names:
            return Evidence(
                Strength.SHAPE, f"{tree.relative(found[0])}: class numbers and shares, and nothing names the classes"
            )
        return Evidence(
            Strength.FORMAT, f"{tree.relative(names[0].file)} names the classes, and images have .txt files"
        )

    def open(self, request: ReadRequest) -> Source:
        tree, names = request.tree, _one(request)
        splits, words, scenes = Splits(tree, names), Counter(dict.fromkeys(names.words.values(), 0)), []
        for line in splits.missing:
            request.notes.fault(line, "no such image, or several have its name")
        labelled = list(pairs(tree))
        alone = sum(_looks_like_yolo(label) for label in without_image(tree, labelled))
        request.notes.left_out.update({"label file without an image": alone} if alone else {})
        for image, label in labelled:
            split = splits.of(image)
            if split is None and splits.closed:
                request.notes.left_out["image that none of the dataset's lists names"] += 1
                continue
            words.update(_words(label, names.words))
            labels = (label, tuple(names.words.items()), names.points)
            scenes.append(
                Scene(
                    safe_stem(image.stem),
                    image,
                    labels,
                    group_of(image, tree.root),
                    split or split_of(image, tree.root),
                )
            )
        if not scenes:
            raise SourceError(f"{request.path}: no images with .txt files, in labels/ or beside them")
        return Source(DatasetInfo(request.name, "YOLO annotations", "unknown", "", dense=False), words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        label, names, points = scene.labels
        return SceneLabels(
            objects=filled(_drawn(label, dict(names), points, context.size, context.notes), context.size, context.notes)
        )


def _one(request: ReadRequest) -> Names:
    """The file that names the classes.

    Raises `SourceError` if there is none, or another contradicts it that is as sure, or has images of its own.
    """
    found = find_names(request.tree)
    if not found:
        raise SourceError(f"{request.path}: no class names; a data.yaml with `names`, or classes.txt, is wanted there")
    first = found[0]
    for other in found[1:]:
        if _agree(other.words, first.words):
            continue
        apart = other.is_yaml and other.file.parent != first.file.parent
        if other.rank == first.rank or (apart and any(request.tree.images(below=other.file.parent))):
            raise SourceError(f"{first.file} and {other.file} name other classes; take one of them away")
        said = f"{request.tree.relative(first.file)} names the classes; {request.tree.relative(other.file)}"
        request.notes.remarks[f"{said}, which names others, is passed over"] += 1
    return first


def _agree(one: dict[int, str], other: dict[int, str]) -> bool:
    """Whether no number has two names."""
    return all(other.get(number, word) == word for number, word in one.items())


def _looks_like_yolo(label: Path) -> bool:
    """Whether a line is a class number and shares."""
    for line in read_names(label)[:LOOKED_AT]:
        try:
            index, *values = map(float, line.split())
        except ValueError:
            return False
        return index.is_integer() and len(values) >= 4 and all(abs(value) < FAR for value in values[:4])
    return False


def _words(label: Path | None, names: dict[int, str]) -> Iterator[str]:
    for line in read_lines(label) if label else ():
        index = _index((line.split(None, 1) or [""])[0])
        if index in names:
            yield names[index]


def _index(word: str) -> int:
    """A class number, also as `np.savetxt` writes it; −1 if it is none."""
    try:
        number = float(word)
    except ValueError:
        return -1
    return int(number) if number.is_integer() else -1


def _drawn(
    label: Path | None, names: dict[int, str], points: bool, size: tuple[int, int], notes: Notes
) -> Iterator[Drawn]:
    for number, line in enumerate(read_lines(label) if label else (), start=1):
        if not line.strip():
            continue
        place = f"{label}:{number}"
        try:
            word, *values = line.split()
            yield Drawn(names[_index(word)], given([float(v) for v in values[: 4 if points else None]], size), place)
        except (ValueError, KeyError):
            notes.fault(place, f"{line[:80]!r} is not a known class with a box or polygon of shares")


def given(values: list[float], size: tuple[int, int]) -> Given:
    """A box of four numbers, an oriented one of eight, else a polygon; of a quadrilateral nobody can tell which it is.

    Raises ValueError if the numbers are of no such form.
    """
    height, width = size
    if not all(isfinite(value) and abs(value) < FAR for value in values):
        raise ValueError("no shares")
    if len(values) == 4:
        x, y, w, h = values[0] * width, values[1] * height, values[2] * width, values[3] * height
        return Given.of_box(x - w / 2, y - h / 2, w, h)
    if len(values) < 6 or len(values) % 2:
        raise ValueError("neither a box nor corners")
    points = [value * (height if place % 2 else width) for place, value in enumerate(values)]
    return Given.of_corners(points) if len(points) == 8 else Given.of_polygons([points])
