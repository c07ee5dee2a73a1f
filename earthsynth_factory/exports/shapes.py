"""The shape of one object for a format: what its source drew if that is kept, else what its mask gives.

Coordinates are pixels of the image, along edges (see `geometry`). Nothing given is derived anew: polygons, boxes and corners
come out as they were read, to the digits that a format writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.geometry.boxes import clockwise, oriented_box
from earthsynth_factory.geometry.given import Cut, Flat, Given, cut_to
from earthsynth_factory.geometry.polygons import outline_iou, polygons_of
from earthsynth_factory.geometry.rle import decode

DIGITS = 6
"""Decimals of a number in JSON: a millionth of a pixel."""


def drawn(instance: Instance) -> Given | None:
    """What the source drew, if that and not a mask is the object's shape."""
    return instance.given if instance.given and not instance.given.masked else None


def patch(record: SampleRecord, instance: Instance) -> npt.NDArray[np.bool_]:
    """(h, w) mask of the object within its box."""
    x, y, width, height = instance.box
    return decode(instance.rle, record.height, record.width)[y : y + height, x : x + width]


def upright_box(record: SampleRecord, instance: Instance) -> tuple[float, float, float, float]:
    """left, top, width, height: the source's own or the tightest around what it drew, else that of the pixels (whole)."""
    given = instance.given
    if given is None or (given.masked and given.box is None):
        return instance.box
    found = Given(box=given.bounds())
    inside = cut_to(found, Cut.whole(record.width, record.height))
    left, top, width, height = map(_written, inside.bounds() if inside else instance.box)
    return left, top, width, height


def polygons(record: SampleRecord, instance: Instance) -> list[Flat]:
    """x, y, x, y, … of each part, within the image: as drawn, else along the edges of the mask's pixels."""
    given = drawn(instance)
    if given is None:
        x, y = instance.box[:2]
        return [_moved(ring, x, y) for ring in polygons_of(patch(record, instance))]
    inside = cut_to(Given.of_polygons(given.rings()), Cut.whole(record.width, record.height))
    return [tuple(round(number, DIGITS) for number in ring) for ring in (inside.polygons if inside else ())]


def fidelity(record: SampleRecord, instance: Instance, rings: Sequence[Flat]) -> float:
    """Intersection over union, 0–1, of the object's pixels and such polygons as pycocotools fills them."""
    x, y = instance.box[:2]
    return outline_iou([list(_moved(ring, -x, -y)) for ring in rings], patch(record, instance))


def oriented(record: SampleRecord, instance: Instance) -> npt.NDArray[np.float64]:
    """(4, 2) corners x, y of the oriented box: the source's own, in its order, or the smallest rectangle around what it drew
    or, of a mask, around the pixels; then clockwise from the upper left. They may lie outside the image.
    """
    given = instance.given
    if given and given.corners:
        return np.reshape(given.corners, (4, 2)).astype(np.float64)
    if given is None or given.masked:
        return clockwise(oriented_box(patch(record, instance)) + instance.box[:2])
    rings = given.rings()
    if len(rings) == 1 and len(rings[0]) == 8:
        return np.reshape(rings[0], (4, 2)).astype(np.float64)
    return _smallest(np.concatenate([np.reshape(ring, (-1, 2)) for ring in rings]))


def _written(number: float) -> float:
    """To the digits that are written; a whole number as such, so that a box of pixels looks the same when it comes back."""
    rounded = round(number, DIGITS)
    return int(rounded) if rounded == int(rounded) else rounded


def _smallest(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Near its own origin, for OpenCV reckons in single precision.
    origin = points.min(axis=0)
    return clockwise(cv2.boxPoints(cv2.minAreaRect((points - origin).astype(np.float32))).astype(np.float64) + origin)


def _moved(ring: Sequence[float], right: float, down: float) -> Flat:
    return tuple(number + (down if place % 2 else right) for place, number in enumerate(ring))
