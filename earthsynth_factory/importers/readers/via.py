"""VGG Image Annotator: region data or a project, one JSON for many images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from earthsynth_factory.importers.words_of_layout import split_of, split_word

CLASS_KEYS = ("class", "label", "name", "type", "category", "object")
"""Region attributes that hold the class, the first that is there; if there is one attribute alone, it does."""


class Via(Reader):
    """Points and lines have no area and are counted as left out; an image without regions is a negative: VIA lists it."""

    kind = "via"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return format_evidence(request.tree, _files(request.tree), "regions with shape_attributes")

    def open(self, request: ReadRequest) -> Source:
        root, found = request.tree.root, AnnotatedImages(request)
        for file in _files(request.tree):
            entries = _entries(read_json(file))
            found.finder.expect(str(entry["filename"]) for entry in entries)
            for entry in entries:
                name = str(entry["filename"])
                image = found.find(file, name)
                if image is not None:
                    regions = _regions(entry)
                    found.words.update(one.word for one in _drawn(regions, name, Notes()))
                    split = split_of(file, root) or split_word(file.stem) or split_of(image, root)
                    found.add(image, (regions, name), split, shared=(file,))
        return found.source("VIA", "JSON of VIA (regions with shape_attributes) with its images")

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        regions, name = scene.labels
        return SceneLabels(objects=filled(_drawn(regions, name, context.notes), context.size, context.notes))


def _files(tree: Tree) -> Iterator[Path]:
    for file in [tree.file] if tree.file else tree.files(".json"):
        if file.suffix.lower() == ".json" and _head_fits(file):
            yield file


def _head_fits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 14)
    except OSError:
        return False
    return (
        b'"filename"' in head and b'"regions"' in head and b'"file_attributes"' in head
    ) or b'"_via_img_metadata"' in head


def _entries(document: Any) -> list[dict[str, Any]]:
    found = document.get("_via_img_metadata", document) if isinstance(document, dict) else document
    entries = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("filename"), str)]


def _regions(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Older versions number them in a block."""
    regions = entry.get("regions")
    return tuple(regions.values() if isinstance(regions, dict) else regions if isinstance(regions, list) else ())


def _drawn(regions: tuple[Any, ...], name: str, notes: Notes) -> Iterator[Drawn]:
    for number, region in enumerate(regions, start=1):
        place = f"{name}, region {number}"
        try:
            given = _given(region["shape_attributes"])
            word = _word(region["region_attributes"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            notes.fault(place, f"no shape with a class ({type(error).__name__}: {error})")
            continue
        if given is None:
            notes.left_out[NO_AREA] += 1
        else:
            yield Drawn(word, given, place)


def _word(attributes: dict[str, Any]) -> str:
    keys = [key for name in CLASS_KEYS for key in attributes if key.lower() == name] or list(attributes)
    if not keys or (len(keys) > 1 and keys[0].lower() not in CLASS_KEYS):
        raise ValueError(f"none of its attributes ({', '.join(attributes) or 'it has none'}) is called class")
    value = attributes[keys[0]]
    if isinstance(value, dict):  # check boxes: what is ticked
        value = next((key for key, ticked in value.items() if ticked), "")
    if not str(value).strip():
        raise ValueError(f"its {keys[0]} is empty")
    return str(value).strip()


def _given(shape: dict[str, Any]) -> Given | None:
    """None if it has no area."""
    kind = shape["name"]
    if kind == "rect":
        return Given.of_box(shape["x"], shape["y"], shape["width"], shape["height"])
    if kind == "polygon":
        points = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
        return Given.of_polygons([[float(value) for point in points for value in point]])
    if kind in ("circle", "ellipse"):
        across, down = (shape["r"], shape["r"]) if kind == "circle" else (shape["rx"], shape["ry"])
        return ellipse_corners(shape["cx"], shape["cy"], across, down, float(shape.get("theta", 0)))
    if kind in ("point", "polyline"):
        return None
    raise ValueError(f"shape {kind!r}")
