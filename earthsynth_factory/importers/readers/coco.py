"""COCO and LVIS: polygons, run lengths, crowds; if an outline has no area, the box stands for it.

What is not labels of objects (captions, lists of images) is passed over. Files that list the same images are joined: what
both say is taken once, other classes are added, and if they contradict each other the user is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from math import isclose, isfinite
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.geometry.given import Box, Given, shared_area
from earthsynth_factory.importers.json_pieces import read_piece
from earthsynth_factory.importers.outlines import Patch, fill, read_rle, usable_rings
from earthsynth_factory.importers.readers.boxes import say_cut
from earthsynth_factory.importers.readers.coco_document import flag, looks_like_coco, read_coco
from earthsynth_factory.importers.readers.coco_join import join
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
from earthsynth_factory.importers.tree import Tree

MANY = 200
"""Folders with more JSON than this hold one for each image, which COCO has not."""


LEAST_IN_COMMON = 0.3
"""IoU of an outline's own box with the one beside it, below which one of them is wrong."""


class Coco(Reader):
    """One JSON or a folder of them, wherever they lie; images are found by path or name."""

    kind = "coco"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for file in json_files(tree):
            if looks_like_coco(file):
                return Evidence(Strength.FORMAT, f"{tree.relative(file)} has images, annotations and categories")
        return None

    def open(self, request: ReadRequest) -> Source:
        files = [file for file in json_files(request.tree) if looks_like_coco(file)]
        if not files:
            raise SourceError(f"{request.path}: no JSON with images, annotations and categories")
        source = f"COCO annotations, {request.path.name}"
        found = read_files(files, request, DatasetInfo(request.name, source, "unknown", "", dense=False))
        listed = {scene.image for scene in found.scenes}
        folders = {image.parent for image in listed}
        beside = sum(image.parent in folders and image not in listed for image in request.tree.images())
        if beside:
            request.notes.left_out["image beside those of the annotation files, in none of them"] += beside
        return found

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return coco_labels(scene, context.size, context.notes)


def json_files(tree: Tree) -> list[Path]:
    """The JSON given, or all of the folder's but those that are one an image."""
    if tree.file:
        return [tree.file] if tree.file.suffix.lower() == ".json" else []
    found = []
    for folder in tree.folders:
        files = tree.listing(folder, ".json")
        found += files if len(files) <= MANY else []
    return found


def read_files(
    files: list[Path],
    request: ReadRequest,
    info: DatasetInfo,
    segments: Mapping[int, Any] | None = None,
    prefix: str = "",
) -> Source:
    """Scenes of several COCO files. segments: annotation id → run lengths that stand in for a box alone.

    Raises `InputError` if two files say different things of the same images.
    """
    documents = []
    for file in files:
        try:
            document = read_coco(file, request.notes, segments or {})
        except SourceError as error:
            request.notes.error(error)
            continue
        if document.is_labels:
            documents.append(document)
        else:
            request.notes.remarks[
                f"{request.tree.relative(file)}: no boxes or outlines with classes in it, passed over"
            ] += 1
    words = {word: 0 for document in documents for word in document.names.values()}
    try:
        scenes = join(documents, request, prefix)
    except ValueError as error:
        raise InputError(str(error)) from None
    for scene in scenes:
        for entry in scene.labels[0]:
            words[entry.word] += 1
    return Source(info, words, scenes)


def renamed(scene: Scene, words: Mapping[str, str]) -> Scene:
    """The scene with other words for its objects' classes."""
    named = tuple(entry._replace(word=words.get(entry.word, entry.word)) for entry in scene.labels[0])
    return replace(scene, labels=(named,))


def coco_labels(scene: Scene, size: tuple[int, int], notes: Notes) -> SceneLabels:
    """The objects of a scene made by `read_files`."""
    found = []
    for entry in scene.labels[0]:
        annotation = read_piece(entry.file, entry.start, entry.length)
        try:
            patch, given = shape(annotation, entry.segment, size, notes)
        except (ValueError, TypeError) as error:
            notes.fault(f"{scene.image}, annotation {annotation.get('id')}", str(error))
            continue
        if patch is None:
            notes.left_out[OUTSIDE] += 1
            continue
        if given is not None:
            say_cut(given, size, notes)
        # `difficult` is not COCO's own: our writer has it. Nor is `ignore`: others write it of what is not to be judged.
        crowd = flag(annotation.get("iscrowd")) or flag(annotation.get("ignore"))
        difficult = flag(annotation.get("difficult"))
        found.append(SceneObject(entry.word, *patch, crowd, difficult, given))
    return SceneLabels(objects=tuple(found))


def shape(
    annotation: Mapping[str, Any], segment: Any, size: tuple[int, int], notes: Notes
) -> tuple[Patch | None, Given | None]:
    """Pixels, and what was drawn. Run lengths are the truth if they are given, then polygons, then the box."""
    segmentation, box = annotation.get("segmentation") or segment, box_of(annotation.get("bbox"))
    if isinstance(segmentation, dict):
        patch = read_rle(segmentation, size)
        if patch is not None and box is not None:
            _say_elsewhere((patch[1], patch[0], patch[2].shape[1], patch[2].shape[0]), box, notes)
        return patch, Given.of_box(*box, masked=True) if box else None
    given = _drawn(segmentation, box, notes)
    if not segmentation and box is not None and _is_corners(box, annotation.get("area")):
        raise ValueError("its area is that of a box from corner to corner; COCO's boxes are left, top, width, height")
    left, top, width, height = given.bounds()
    if min(left, top) >= 0 and max(left + width, top + height) <= 1:
        raise ValueError("its numbers are at most 1, as shares of the image are; COCO has pixels")
    if box is not None:
        _say_elsewhere(Given.of_polygons(given.rings()).bounds(), box, notes)
    return fill(given, size), given


def _say_elsewhere(drawn: Box, box: Box, notes: Notes) -> None:
    """A remark if an outline's own box has little in common with the one that stands beside it."""
    inside = shared_area(drawn, box)
    if inside < LEAST_IN_COMMON * (drawn[2] * drawn[3] + box[2] * box[3] - inside):
        notes.remarks["outlines that lie elsewhere than their box, the outline is taken"] += 1


def _drawn(segmentation: Any, box: Box | None, notes: Notes) -> Given:
    """The polygons of a list of rings, or of one ring that stands there alone; the box if no ring has an area."""
    rings = segmentation if isinstance(segmentation, list) else []
    if rings and not isinstance(rings[0], list):
        rings = [rings]
    rings = _unpaired(rings)
    try:
        usable = usable_rings(rings)
    except ValueError as error:
        if box is None:
            raise ValueError(f"{error}, nor a box with an extent") from None
        notes.remarks["outlines without an area, the box taken for them"] += any(rings)
        return Given.of_box(*box)
    notes.remarks["outlines with a part of fewer than three corners, which is passed over"] += len(usable) < len(rings)
    return Given.of_polygons(usable, box)


def _unpaired(rings: list[Any]) -> list[Any]:
    """Rings as x, y, x, y, … if they are written as pairs, or if there is one ring whose pairs stand there alone."""
    if len(rings) > 2 and all(isinstance(ring, list) and len(ring) == 2 for ring in rings):
        rings = [rings]
    return [list(chain.from_iterable(ring)) if _is_pairs(ring) else ring for ring in rings]


def _is_pairs(ring: Any) -> bool:
    return isinstance(ring, list) and bool(ring) and all(isinstance(pair, list) and len(pair) == 2 for pair in ring)


def _is_corners(box: Box, area: Any) -> bool:
    """Whether the area that stands beside a box is that of its numbers as two corners, and not that of a size."""
    left, top, right, bottom = box
    if not isinstance(area, int | float) or right <= left or bottom <= top:
        return False
    return isclose(area, (right - left) * (bottom - top), rel_tol=1e-3) and not isclose(
        area, right * bottom, rel_tol=0.1
    )


def box_of(value: Any) -> Box | None:
    """left, top, width, height, if four such numbers with an extent stand there."""
    try:
        left, top, width, height = map(float, value)
    except (TypeError, ValueError):
        return None
    found = (left, top, width, height)
    return found if all(map(isfinite, found)) and width > 0 and height > 0 else None
