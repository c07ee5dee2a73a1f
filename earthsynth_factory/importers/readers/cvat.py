"""CVAT for images 1.1: one XML with all images; boxes (turned ones too), polygons, ellipses, masks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.outlines import trim
from earthsynth_factory.importers.readers.annotation_tools import AnnotatedImages, format_evidence
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.turned import ellipse_corners, turned_box
from earthsynth_factory.importers.scene import (
    NO_AREA,
    Evidence,
    Notes,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    SceneObject,
    Source,
)
from earthsynth_factory.importers.texts import read_text, read_xml
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import split_of, split_word

SHAPES = ("box", "polygon", "ellipse", "mask")


class Cvat(Reader):
    """Points and lines have no area and are counted as left out. An image without shapes is a negative: CVAT lists it."""

    kind = "cvat"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return format_evidence(request.tree, _files(request.tree), "<annotations> of <image>s with shapes")

    def open(self, request: ReadRequest) -> Source:
        found = AnnotatedImages(request)
        for file in _files(request.tree):
            root = read_xml(file)
            found.words.update({name.text or "": 0 for name in root.iterfind(".//label/name")})
            images = list(root.iterfind("image"))
            if tracks := len(root.findall("track")):
                request.notes.fault(file, f"{tracks} tracks of a video are not read; export it as CVAT for images")
            found.finder.expect(image.get("name", "") for image in images)
            for number, image in enumerate(images):
                subset = split_word(image.get("subset", ""))
                path = found.find(file, image.get("name", ""), split=subset)
                if path is None:
                    continue
                found.words.update(shape.get("label", "") for shape in image if shape.tag in SHAPES)
                _say_left(image, request.notes)
                if len(image) and all(shape.tag == "tag" for shape in image):
                    request.notes.left_out["image with a tag alone, which says nothing of places"] += 1
                    continue
                split = subset or split_of(path, request.tree.root)
                found.add(path, (file, number), split, _size(image), (file,))
        return found.source("CVAT", "XML of CVAT (annotations of images) with its images")

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        file, number = scene.labels
        image = _images(file)[number]
        return SceneLabels(
            objects=(
                *filled(_drawn(image, file, context.notes), context.size, context.notes),
                *_masks(image, file, context),
            )
        )


_parsed: tuple[Path, int, list[Element]] | None = None
"""The last file, so that a worker does not parse it for each of its images."""


def _images(file: Path) -> list[Element]:
    global _parsed
    changed = file.stat().st_mtime_ns
    if _parsed is None or _parsed[:2] != (file, changed):
        _parsed = (file, changed, list(read_xml(file).iterfind("image")))
    return _parsed[2]


def _files(tree: Tree) -> list[Path]:
    """Few large XML files at most, so a folder of many is none of CVAT's."""
    found = (
        [tree.file]
        if tree.file
        else [p for f in tree.folders if len(files := tree.listing(f, ".xml")) < 50 for p in files]
    )
    return [path for path in found if path.suffix.lower() == ".xml" and "<annotations>" in read_text(path)[:2000]]


def _say_left(image: Element, notes: Notes) -> None:
    for shape in image:
        if shape.tag in ("points", "polyline", "skeleton", "cuboid"):
            notes.left_out[NO_AREA] += 1


def _size(image: Element) -> tuple[int, int] | None:
    try:
        found = int(image.get("height", "")), int(image.get("width", ""))
    except ValueError:
        return None
    return found if min(found) > 0 else None


def _drawn(image: Element, file: Path, notes: Notes) -> Iterator[Drawn]:
    for number, shape in enumerate(image, start=1):
        place = f"{file}, image {image.get('name')}, shape {number}"
        if shape.tag in ("box", "polygon", "ellipse"):
            try:
                yield Drawn(shape.get("label", ""), _given(shape), place)
            except (ValueError, KeyError) as error:
                notes.fault(place, f"not a whole {shape.tag} ({error})")


def _given(shape: Element) -> Given:
    keys = ("xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry")
    number = {key: float(shape.attrib[key]) for key in keys if key in shape.attrib}
    angle = math.radians(float(shape.get("rotation", 0)))
    if shape.tag == "polygon":
        points = [float(text) for pair in shape.attrib["points"].split(";") for text in pair.split(",")]
        return Given.of_polygons([points])
    if shape.tag == "ellipse":
        return ellipse_corners(number["cx"], number["cy"], number["rx"], number["ry"], angle)
    left, top, right, bottom = (number[key] for key in ("xtl", "ytl", "xbr", "ybr"))
    return turned_box((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, angle)


def _masks(image: Element, file: Path, context: ReadContext) -> Iterator[SceneObject]:
    """`mask` shapes: run lengths by rows within a box, the first of background."""
    for shape in image.iterfind("mask"):
        try:
            left, top, width, height = (int(float(shape.attrib[key])) for key in ("left", "top", "width", "height"))
            runs = [int(text) for text in shape.attrib["rle"].split(",")]
            if (
                min(left, top, *runs) < 0
                or sum(runs) != width * height
                or left + width > context.size[1]
                or top + height > context.size[0]
            ):
                raise ValueError("its runs do not fill its box, or it lies outside the image")
        except (KeyError, ValueError) as error:
            context.notes.fault(f"{file}, image {image.get('name')}", f"not a whole mask ({error})")
            continue
        patch = trim(np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width))
        if patch is not None:
            yield SceneObject(shape.get("label", ""), top + patch[0], left + patch[1], patch[2])
