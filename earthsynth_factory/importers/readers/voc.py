"""Pascal VOC's XML, wherever it lies: `Annotations/` with `JPEGImages/`, `images/` with `annotations/`, or beside each image.

`bndbox` counts pixels from 1 and names the last one. Oriented boxes are DIOR's `robndbox` of four corners or roLabelImg's of
centre, size and angle. If `SegmentationObject/` is there, an object's pixels are those of it that fill its box best.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given, shared_area
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.coco_document import flag
from earthsynth_factory.importers.readers.colour_instances import colour_regions
from earthsynth_factory.importers.readers.turned import turned_box
from earthsynth_factory.importers.readers.xml_pairs import XmlPair, image_sets, pair_xml
from earthsynth_factory.importers.scene import (
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
from earthsynth_factory.importers.texts import read_xml
from earthsynth_factory.importers.words_of_layout import group_of, prefixed, safe_stem, split_of

LOOKED_AT = 16
COVERS = 0.5
"""Least overlap (IoU) of a region's box with an object's, for the region to be that object."""


class Voc(Reader):
    """Upright and oriented boxes."""

    kind = "voc"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for number, file in enumerate(tree.files(".xml")):
            if number >= LOOKED_AT:
                break
            if _is_voc(file):
                return Evidence(Strength.FORMAT, f"{tree.relative(file)}: <annotation> with objects and boxes")
        return None

    def open(self, request: ReadRequest) -> Source:
        info = DatasetInfo(request.name, "Pascal VOC annotations", "unknown", "", dense=False)
        return open_voc(request, info)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return voc_labels(scene, context)


def open_voc(request: ReadRequest, info: DatasetInfo, prefix: str = "", xml: list[Path] | None = None) -> Source:
    """Scenes of all VOC XML below the root (or of these). Raises `SourceError` if there is none."""
    tree, words, scenes = request.tree, Counter[str](), []
    splits = image_sets(tree)
    segmented = {path.stem: path for folder in tree.named("SegmentationObject") for path in tree.listing(folder)}
    for pair in pair_xml(request, list(tree.files(".xml")) if xml is None else xml, _is_annotation):
        words.update(one.word for one in drawn_in(pair.root, pair.file, Notes()))
        stem = prefixed(prefix, safe_stem(pair.image.stem))
        group = prefixed(prefix, group_of(pair.image, tree.root))
        split = splits.get(pair.file.stem) or split_of(pair.file, tree.root) or split_of(pair.image, tree.root)
        labels = (pair.file, segmented.get(pair.image.stem))
        scenes.append(Scene(stem, pair.image, labels, group, split, size=size_of(pair)))
    if not scenes:
        raise SourceError(f"{request.path}: no XML of Pascal VOC with its image")
    return Source(info, words, scenes)


def voc_labels(scene: Scene, context: ReadContext) -> SceneLabels:
    """The objects of a scene made by `open_voc`. Raises `SourceError` on XML that cannot be read."""
    file, segmented = scene.labels
    objects = filled(drawn_in(read_xml(file), file, context.notes), context.size, context.notes)
    return SceneLabels(objects=objects if segmented is None else _with_masks(objects, segmented, context))


def drawn_in(root: Element, path: Path, notes: Notes) -> Iterator[Drawn]:
    """The objects of an XML file: a polygon if one is given, else `bndbox`, else `robndbox`."""
    for number, entry in enumerate(root.iter("object"), start=1):
        place = f"{path}, object {number}"
        try:
            yield Drawn(text_of(entry, "name"), _given(entry), place, difficult=flag(entry.findtext("difficult") or ""))
        except ValueError as error:
            notes.fault(place, str(error))


def size_of(pair: XmlPair) -> tuple[int, int] | None:
    """(H, W) that the XML says, None if it says nothing of use."""
    size = pair.root.find("size")
    try:
        found = int(float(size.findtext("height") or 0)), int(float(size.findtext("width") or 0))  # type: ignore[union-attr]
    except (AttributeError, ValueError, OverflowError):
        return None
    return found if min(found) > 0 else None


def number_of(box: Element, name: str) -> float:
    """The number in a tag. Raises ValueError that names the tag: missing, or none."""
    text = text_of(box, name)
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"<{name}> is no number: {text[:40]!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"<{name}> is no number: {text[:40]!r}")
    return number


def text_of(entry: Element, name: str) -> str:
    """The text of a tag. Raises ValueError that names the tag."""
    text = (entry.findtext(name) or "").strip()
    if not text:
        raise ValueError(f"has no <{name}>")
    return text


def _is_annotation(root: Element) -> bool:
    return root.tag == "annotation" and root.find("objects") is None


def _is_voc(file: Path) -> bool:
    try:
        root = read_xml(file)
    except SourceError:  # told when it is opened
        return b"<annotation>" in file.read_bytes()[:1000]
    boxes = ("object/bndbox", "object/robndbox", "object/polygon")
    return _is_annotation(root) and any(root.find(box) is not None for box in boxes)


def _given(entry: Element) -> Given:
    polygon, upright, oriented = entry.find("polygon"), entry.find("bndbox"), entry.find("robndbox")
    if polygon is not None and (points := _polygon(polygon)):
        return Given.of_polygons([points])
    if oriented is not None:
        return _oriented(oriented)
    if upright is None:
        raise ValueError("has neither bndbox nor robndbox")
    left, top, right, bottom = (number_of(upright, name) for name in ("xmin", "ymin", "xmax", "ymax"))
    return Given.of_box(left - 1, top - 1, right - left + 1, bottom - top + 1)


def _polygon(polygon: Element) -> list[float]:
    """`<x1><y1><x2><y2>…`, as some tools add them; empty if it is written otherwise."""
    found: list[float] = []
    for number in range(1, len(polygon) // 2 + 1):
        if polygon.find(f"x{number}") is None or polygon.find(f"y{number}") is None:
            break
        found += [number_of(polygon, f"x{number}"), number_of(polygon, f"y{number}")]
    return found if len(found) >= 6 else []


def _oriented(box: Element) -> Given:
    if box.find("cx") is not None:
        return turned_box(*(number_of(box, name) for name in ("cx", "cy", "w", "h", "angle")))
    names = ("left_top", "right_top", "right_bottom", "left_bottom")
    return Given.of_corners(number_of(box, f"{axis}_{name}") for name in names for axis in ("x", "y"))


def _with_masks(objects: tuple[SceneObject, ...], segmented: Path, context: ReadContext) -> tuple[SceneObject, ...]:
    """Each object with the pixels of the region that its box is around; one without such a region keeps its own."""
    shapes = colour_regions(segmented, context.size)
    found = []
    for one in objects:
        best = max(shapes, key=lambda shape: _overlap(one, shape), default=None)
        if best is None or _overlap(one, best) < COVERS:
            context.notes.remarks["objects without a mask of their own, their box is filled"] += 1
            found.append(one)
            continue
        given = replace(one.given, masked=True) if one.given else None
        found.append(replace(one, top=best.top, left=best.left, pixels=best.pixels, given=given))
    return tuple(found)


def _overlap(one: SceneObject, other: SceneObject) -> float:
    """IoU of the boxes around two objects."""
    (height, width), (other_height, other_width) = one.pixels.shape, other.pixels.shape
    inside = shared_area((one.left, one.top, width, height), (other.left, other.top, other_width, other_height))
    return inside / (one.pixels.size + other.pixels.size - inside)
