"""labelme: a JSON an image, beside it or elsewhere, with `shapes` and `imagePath`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.annotation_tools import AnnotatedImages, format_evidence
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.turned import ellipse_corners
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
from earthsynth_factory.importers.texts import read_json
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import split_of

LOOKED_AT = 4
"""JSON files of a folder that are looked at."""

LINES = ("point", "line", "linestrip", "points")


class Labelme(Reader):
    """Polygons, rectangles, turned rectangles and circles; shapes of one `group_id` are parts of one object."""

    kind = "labelme"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return format_evidence(request.tree, _files(request.tree), "shapes of an imagePath")

    def open(self, request: ReadRequest) -> Source:
        tree, found = request.tree, AnnotatedImages(request)
        for file in _files(tree, every=True):
            try:
                document = read_json(file)
            except SourceError as error:
                request.notes.error(error)
                continue
            if not _is_labelme(document):
                continue
            stated = str(document.get("imagePath") or f"{file.stem}.jpg")
            suffix = Path(stated.replace("\\", "/")).suffix or ".jpg"
            beside = str(tree.relative(file.with_suffix(suffix)))
            missing = "its image is missing, or several have its name (pictures inside the JSON are not read)"
            image = found.find(file, beside, stated, missing=missing)
            if image is not None:
                found.words.update(one.word for one in _drawn(document, file, Notes()))
                found.add(image, file, split_of(file, tree.root), _size(document))
        return found.source("labelme", "JSON of labelme (shapes, imagePath) with its image")

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        file = scene.labels
        return SceneLabels(objects=filled(_drawn(read_json(file), file, context.notes), context.size, context.notes))


def _files(tree: Tree, every: bool = False) -> Iterator[Path]:
    """The JSON of folders in which one of the first is labelme's."""
    if tree.file:
        yield from [tree.file] if tree.file.suffix.lower() == ".json" and _head_fits(tree.file) else []
        return
    for folder in tree.folders:
        files = tree.listing(folder, ".json")
        first = [file for file in files[:LOOKED_AT] if _head_fits(file)]
        yield from files if first and every else first[:1]


def _head_fits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 12)
            file.seek(max(0, path.stat().st_size - (1 << 12)))
            ends = head + file.read()
    except OSError:
        return False
    return b'"shapes"' in ends and b'"imagePath"' in ends


def _is_labelme(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("shapes"), list)


def _size(document: dict[str, Any]) -> tuple[int, int] | None:
    height, width = document.get("imageHeight"), document.get("imageWidth")
    return (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None


def _drawn(document: Any, file: Path, notes: Notes) -> Iterator[Drawn]:
    parts: dict[Any, list[tuple[Given, str]]] = {}
    for number, shape in enumerate(document["shapes"], start=1):
        place = f"{file}, shape {number}"
        if not isinstance(shape, dict):
            notes.fault(place, "no shape")
            continue
        if shape.get("shape_type") in LINES:
            notes.left_out[NO_AREA] += 1
            continue
        try:
            given = _given(shape)
        except (ValueError, TypeError, KeyError) as error:
            notes.fault(place, f"not a shape with points ({error})")
            continue
        group, word = shape.get("group_id"), str(shape.get("label"))
        key = number if group is None or not isinstance(group, int | str) else (word, "group", group)
        parts.setdefault(key, []).append((given, word))
    for number, found in enumerate(parts.values(), start=1):
        whole = (
            found[0][0]
            if len(found) == 1
            else Given.of_polygons([ring for given, _ in found for ring in given.rings()])
        )
        yield Drawn(found[0][1], whole, f"{file}, object {number}")


def _given(shape: dict[str, Any]) -> Given:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = shape.get("shape_type") or "polygon"
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        return Given.of_box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
    if kind == "circle" and len(points) == 2:
        radius = math.dist(*points)
        return ellipse_corners(*points[0], radius, radius)
    flat = [value for point in points for value in point]
    if kind in ("rotation", "oriented_rectangle") and len(points) == 4:
        return Given.of_corners(flat)
    if kind not in ("polygon", "rectangle", "rotation", "oriented_rectangle"):
        raise ValueError(f"shape_type {kind!r}")
    return Given.of_polygons([flat])
