"""KIT AIS vehicles: three aerial sequences over Stuttgart and Munich, with YOLO boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.scene import (
    OUTSIDE,
    DatasetInfo,
    Evidence,
    Notes,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    SceneObject,
    Source,
    Strength,
)
from earthsynth_factory.importers.texts import read_lines, read_names
from earthsynth_factory.importers.tree import Tree

METRES_PER_PIXEL = 0.15
"""Our estimate: a car of 4.5 m is about 30 pixels long."""

WORDS = {
    "car": "small vehicle",
    "truck": "large vehicle",
    "bus": "large vehicle",
    "minibus": "small vehicle",
    "cyclist": "background",
}
"""Vans and minibuses count as small, buses as large, as in DOTA's two vehicle classes. Cyclists have no category. A map
file that names a word stands above this."""

INFO = DatasetInfo(
    name="KIT AIS vehicles",
    source="KIT AIS Data Set, image sequences with YOLO boxes",
    licence="CC BY 3.0",
    credit="Karlsruhe Institute of Technology (KIT), German Aerospace Center (DLR)",
    dense=False,
)


class KitAis(Reader):
    """Reads `<frame>.jpg` + `<frame>.txt`. A box becomes the ellipse inside it: nearer to a turned car than the box is.

    Frames of one sequence show one place a moment apart, so the whole sequence is a group.
    """

    kind = "kit_ais"
    forms = ("yolo",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        if _list(tree) is None:
            return None
        return Evidence(Strength.OWN, "classes.txt lists car, truck, bus, minibus, cyclist")

    def open(self, request: ReadRequest) -> Source:
        tree, file = request.tree, _list(request.tree)
        if file is None:
            raise SourceError(f"{request.path}: no classes.txt of {', '.join(WORDS)}; give the folder that holds it")
        classes = read_names(file)
        words: Counter[str] = Counter()
        scenes = []
        for image in tree.listing(file.parent, ".jpg", ".png"):
            boxes = list(_boxes(image.with_suffix(".txt"), classes, Notes()))
            words.update(request.classes.usual(box.word, WORDS[box.word]) for box in boxes)
            group = sequence_of(image.stem)
            split = "test" if group == "munich-street" else "train"
            labels = (image.with_suffix(".txt"), tuple(classes))
            scenes.append(Scene(image.stem.lower(), image, labels, group, split, METRES_PER_PIXEL))
        if not scenes:
            raise SourceError(f"{request.path}: no frames (*.jpg) beside classes.txt")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        file, words = scene.labels
        objects = (_object(box, context) for box in _boxes(file, list(words), context.notes))
        return SceneLabels(objects=tuple(one for one in objects if one is not None))


@dataclass(frozen=True, slots=True)
class _Box:
    """A labelled rectangle; centre and size as shares of the image."""

    word: str
    centre: tuple[float, float]
    size: tuple[float, float]


def sequence_of(stem: str) -> str:
    """The sequence a frame belongs to, from the numbering of the frames."""
    if stem.startswith("MunichStreet02"):
        return "munich-street"
    number = stem.removeprefix("MOS")
    return "crossroad" if number.isdecimal() and int(number) < 100 else "autobahn"


def _list(tree: Tree) -> Path | None:
    """The highest classes.txt of just these classes."""
    return next((file for file in tree.called("classes.txt") if set(read_names(file)) == set(WORDS)), None)


def _boxes(path: Path, words: list[str], notes: Notes) -> Iterator[_Box]:
    """YOLO lines `class x y w h`."""
    for number, line in enumerate(read_lines(path), start=1):
        try:
            index, x, y, w, h = line.split()
            word = words[int(index)]
            yield _Box(word, (float(x), float(y)), (float(w), float(h)))
        except (ValueError, IndexError):
            notes.fault(f"{path}:{number}", f"{line[:80]!r} is not `class x y w h` with a known class")


def _object(box: _Box, context: ReadContext) -> SceneObject | None:
    """The ellipse in the box, clipped to the image."""
    whole = np.array([context.size[1], context.size[0]])
    centre, half = np.array(box.centre) * whole, np.array(box.size) * whole / 2
    left, top = np.clip(np.rint(centre - half), 0, whole).astype(int).tolist()
    right, bottom = np.clip(np.rint(centre + half), 0, whole).astype(int).tolist()
    inside = _ellipse(bottom - top, right - left)
    if not inside.any():
        context.notes.left_out[OUTSIDE] += 1
        return None
    return SceneObject(context.classes.usual(box.word, WORDS[box.word]), top, left, inside)


def _ellipse(height: int, width: int) -> npt.NDArray[np.bool_]:
    """The pixels of a height × width box whose centres lie in a superellipse (power 4: rounded corners) filling it."""
    y = (np.arange(height) + 0.5) / max(height, 1) * 2 - 1
    x = (np.arange(width) + 0.5) / max(width, 1) * 2 - 1
    return np.asarray(y[:, None] ** 4 + x[None, :] ** 4 <= 1.0)
