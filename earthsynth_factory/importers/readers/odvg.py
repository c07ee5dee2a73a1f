"""ODVG, what open-vocabulary detectors train on: a JSON line an image, with boxes and their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.readers.boxes import Drawn, filled
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
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import group_of, prefixed, safe_stem, split_of, split_word

MAX_LINE = 1 << 24
"""Longest line that is parsed, in bytes."""


class _Box(NamedTuple):
    word: str
    corners: tuple[float, ...]
    place: str


class Odvg(Reader):
    """The detection form. The grounding form has phrases in place of classes and is passed over."""

    kind = "odvg"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for file in _files(tree):
            if looks_like_odvg(file):
                return Evidence(
                    Strength.FORMAT, f"{tree.relative(file)}: lines with filename and detection or grounding"
                )
        return None

    def open(self, request: ReadRequest) -> Source:
        files = [file for file in _files(request.tree) if looks_like_odvg(file)]
        info = DatasetInfo(request.name, "ODVG annotations", "unknown", "", dense=False)
        source = read_lines_of(files, request, info)
        if not source.scenes:
            raise SourceError(f"{request.path}: no lines of ODVG boxes with their images")
        return source

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return odvg_labels(scene, context.size, context.notes)


def looks_like_odvg(path: Path) -> bool:
    """Whether the first line is one of ODVG's."""
    with path.open("rb") as file:
        head = file.read(1 << 14).split(b"\n")[0]
    return b'"filename"' in head and (b'"detection"' in head or b'"grounding"' in head)


def read_lines_of(files: list[Path], request: ReadRequest, info: DatasetInfo, prefix: str = "") -> Source:
    """Scenes of several ODVG files."""
    words, finder = Counter[str](), ImageFinder(request.tree)
    scenes: list[Scene] = []
    for file in files:
        if _has_boxes(file, request.notes):
            scenes += _scenes(file, request, finder, prefix)
    for scene in scenes:
        words.update(box.word for box in scene.labels[1])
    return Source(info, words, scenes)


def odvg_labels(scene: Scene, size: tuple[int, int], notes: Notes) -> SceneLabels:
    """The boxes of a scene made by `read_lines_of`."""

    def given(box: _Box) -> Given:
        left, top, right, bottom = box.corners
        return Given.of_box(left, top, right - left, bottom - top)

    drawn = (Drawn(box.word, given(box), box.place) for box in map(_Box._make, scene.labels[1]))
    return SceneLabels(objects=filled(drawn, size, notes))


def _files(tree: Tree) -> list[Path]:
    if tree.file:
        return [tree.file] if tree.file.suffix.lower() in (".json", ".jsonl") else []
    return [path for folder in tree.folders for path in tree.listing(folder, ".json", ".jsonl")[:200]]


def _has_boxes(path: Path, notes: Notes) -> bool:
    with path.open("rb") as file:
        grounding = b'"grounding"' in file.readline(MAX_LINE)
    if grounding:
        notes.remarks[f"{path.name}: captions with phrases, no boxes with classes; passed over"] += 1
    return not grounding


def _scenes(path: Path, request: ReadRequest, finder: ImageFinder, prefix: str) -> Iterator[Scene]:
    root = request.tree.root
    split = split_word(path.stem) or split_of(path, root)
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            place = f"{path}:{number}"
            try:
                document = orjson.loads(line)
                name, boxes = str(document["filename"]), [_box(e, place) for e in document["detection"]["instances"]]
                size = (int(document["height"]), int(document["width"]))
            except (ValueError, KeyError, TypeError) as error:
                request.notes.fault(place, f"not a line of ODVG boxes ({type(error).__name__}: {error})")
                continue
            image = finder.find(name, path.parent, split)
            if image is None:
                request.notes.fault(place, f"image {name[:200]!r} is missing, or several have its name")
                continue
            stem, group = prefixed(prefix, safe_stem(image.stem)), prefixed(prefix, group_of(image, root))
            yield Scene(stem, image, ("odvg", tuple(boxes)), group, split or split_of(image, root), None, size, (path,))


def _box(instance: dict[str, Any], place: str) -> _Box:
    left, top, right, bottom = map(float, islice(instance["bbox"], 4))
    return _Box(str(instance["category"]), (left, top, right, bottom), place)
