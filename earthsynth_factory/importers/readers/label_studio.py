"""Label Studio: a JSON list of tasks, in full or as JSON-MIN; boxes (turned ones too), polygons, ellipses, in percent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.finder import key_of
from earthsynth_factory.importers.json_pieces import pieces, read_piece
from earthsynth_factory.importers.readers.annotation_tools import AnnotatedImages, format_evidence
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.turned import ellipse_corners, turned
from earthsynth_factory.importers.scene import (
    NO_AREA,
    Evidence,
    Notes,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    Source,
)
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import split_of
from earthsynth_factory.io.pictures import SUFFIXES

KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")


class LabelStudio(Reader):
    """Of several people's answers to one task the last is taken, and said; a task that nobody answered is left out."""

    kind = "label-studio"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return format_evidence(request.tree, _files(request.tree), "tasks with results in percent")

    def open(self, request: ReadRequest) -> Source:
        found = AnnotatedImages(request)
        for file in _files(request.tree):
            for piece in pieces(file):
                results, names = _results(piece.value, request.notes), _image_names(piece.value)
                if results is None or not names:
                    request.notes.left_out["task without an answer or an image"] += 1
                    continue
                name = names[0]
                if len({found.finder.find(name, file.parent) for name in names} - {None}) > 1:
                    request.notes.fault(
                        file, f"{name[:200]!r} is in a task of several images, whose shapes are not told apart"
                    )
                    continue
                image = found.find(file, name, key_of(name)[0])
                if image is not None:
                    found.words.update(one.word for one in _drawn(results, (100, 100), name, Notes()))
                    labels, split = (file, piece.start, piece.length), split_of(image, request.tree.root)
                    found.add(image, labels, split, _size(results), (file,))
        return found.source("Label Studio", "JSON of Label Studio (tasks with results) with its images")

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        file, start, length = scene.labels
        results = _results(read_piece(file, start, length), Notes()) or []
        return SceneLabels(
            objects=filled(_drawn(results, context.size, scene.image.name, context.notes), context.size, context.notes)
        )


def _files(tree: Tree) -> Iterator[Path]:
    for file in [tree.file] if tree.file else tree.files(".json"):
        if file.suffix.lower() == ".json" and _head_fits(file):
            yield file


def _head_fits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return False
    listed = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    return listed and (b'"original_width"' in head or (b'"annotations"' in head and b'"data"' in head))


def _results(task: dict[str, Any], notes: Notes) -> list[dict[str, Any]] | None:
    """The shapes of a task; None if nobody answered it."""
    if isinstance(answers := task.get("annotations", task.get("completions")), list):
        given = [one for one in answers if isinstance(one, dict) and not one.get("was_cancelled")]
        if not given:
            return None
        notes.remarks["tasks with several answers, the last is taken"] += len(given) > 1
        found = given[-1].get("result")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    # JSON-MIN: the shapes stand in the task itself, in a list under the control's name.
    lists = [value for value in task.values() if isinstance(value, list)]
    shapes = [one for value in lists for one in value if isinstance(one, dict) and "original_width" in one]
    return [{**one, "value": one, "type": next((k for k in KINDS if k in one), "")} for one in shapes] or None


def _image_names(task: dict[str, Any]) -> list[str]:
    """What the task's data calls by an image's suffix, the usual keys first."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    assert isinstance(data, dict)
    texts = [data[key] for key in ("image", "img", "url", *data) if isinstance(data.get(key), str)]
    return [text for text in texts if (key := key_of(text)) and key[0].endswith(SUFFIXES)]


def _size(results: list[dict[str, Any]]) -> tuple[int, int] | None:
    for one in results:
        height, width = one.get("original_height"), one.get("original_width")
        if (
            isinstance(height, int)
            and isinstance(width, int)
            and min(height, width) > 0
            and not one.get("image_rotation")
        ):
            return height, width
    return None


def _drawn(results: list[dict[str, Any]], size: tuple[int, int], name: str, notes: Notes) -> Iterator[Drawn]:
    for number, one in enumerate(results, start=1):
        place, value = f"{name}, result {number}", one.get("value")
        if not isinstance(value, dict) or one.get("type") in ("choices", "textarea", "rating", "relation"):
            continue
        labels = next((value[kind] for kind in KINDS if isinstance(value.get(kind), list) and value[kind]), None)
        if labels is None:
            if one.get("type") in KINDS:
                notes.fault(place, "a shape without a label")
            continue
        try:
            given = _given(value, size)
        except (KeyError, TypeError, ValueError) as error:
            notes.fault(place, f"not a box, polygon or ellipse ({error}); brush masks: export them as PNG or COCO")
            continue
        notes.remarks["shapes with several labels, the first is taken"] += len(labels) > 1
        if given is None:
            notes.left_out[NO_AREA] += 1
        else:
            yield Drawn(str(labels[0]), given, place)


def _given(value: dict[str, Any], size: tuple[int, int]) -> Given | None:
    """None if it has no area. Angles are degrees, clockwise, about a box's upper left corner."""
    down, across = size[0] / 100, size[1] / 100
    if "points" in value:
        return Given.of_polygons([[n for x, y in value["points"] for n in (float(x) * across, float(y) * down)]])
    if "rle" in value:
        raise ValueError("a brush mask")
    x, y, turn = float(value["x"]) * across, float(value["y"]) * down, math.radians(float(value.get("rotation") or 0))
    if "radiusX" in value:
        rx, ry = float(value["radiusX"]) * across, float(value["radiusY"]) * down
        return ellipse_corners(x, y, rx, ry, turn)
    if "height" not in value:
        return None
    width, height = float(value["width"]) * across, float(value["height"]) * down
    if not turn:
        return Given.of_box(x, y, width, height)
    return Given.of_corners(turned([(0, 0), (width, 0), (width, height), (0, height)], x, y, turn))
