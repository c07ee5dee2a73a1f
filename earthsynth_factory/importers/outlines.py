"""Outlines as datasets store them → pixels, each object on its own small canvas.

Polygons are filled as pycocotools fills them, so that COCO's own numbers come out again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from earthsynth_factory.geometry import rle
from earthsynth_factory.geometry.clipping import near
from earthsynth_factory.geometry.given import Given, is_upright

Polygon = Sequence[float]
"""x, y, x, y, … in pixels; corners may lie outside the image."""

Patch = tuple[int, int, npt.NDArray[np.bool_]]
"""Row and column of the upper left pixel, and bool (h, w)."""

MAX_PATCH = 1 << 28
"""Largest canvas of one object, in pixels."""

MAX_AWAY = 1_000_000
"""No corner lies farther from its image, in pixels."""


def fill(given: Given, size: tuple[int, int]) -> Patch | None:
    """The pixels of what a source drew, in an image of `size` (H, W); None if nothing of it lies inside.

    A polygon that is its own box is filled as a box. An object too small to hold a pixel's centre has the pixel that its own
    centre lies in. Raises ValueError if it has no area, and as below.
    """
    rings = given.rings()
    upright = given.box is not None and len(rings) == 1 and is_upright(rings[0], given.box)
    patch = fill_box(*given.bounds(), size) if upright else fill_polygons(rings, size)
    left, top, width, height = given.bounds()
    x, y = math.floor(left + width / 2), math.floor(top + height / 2)
    if patch is None and min(width, height) <= 0:
        raise ValueError("it has no area")
    if patch is None and 0 <= x < size[1] and 0 <= y < size[0]:
        return y, x, np.ones((1, 1), bool)
    return patch


def usable_rings(polygons: Sequence[Polygon]) -> list[list[float]]:
    """The polygons without those of fewer than three corners, which have no area: a click too many, a line.

    Raises ValueError if none is left, or one has an odd count, or numbers that are none.
    """
    rings = [np.asarray(polygon, np.float64) for polygon in polygons]
    for ring in rings:
        if ring.ndim != 1 or len(ring) % 2 or not np.isfinite(ring).all():
            raise ValueError("a polygon is x, y, x, y, … with three corners at least")
        if np.abs(ring).max(initial=0) > MAX_AWAY:
            raise ValueError(f"a corner lies more than {MAX_AWAY:,} pixels away")
    found = [ring.tolist() for ring in rings if len(ring) >= 6]
    if not found:
        raise ValueError("no polygon of three corners in it")
    return found


def fill_polygons(polygons: Sequence[Polygon], size: tuple[int, int]) -> Patch | None:
    """The union of the polygons, clipped to an image of `size` (H, W); None if nothing of it lies inside.

    Raises ValueError as `usable_rings`.
    """
    rings = near(usable_rings(polygons), size)
    if not rings:
        return None
    # In the whole image's coordinates, for moved ones round differently; run lengths cost no more in a large image.
    runs = coco_mask.merge(coco_mask.frPyObjects(rings, *size))
    return rle.decode_patch(runs["counts"].decode("ascii"), *size, MAX_PATCH)


def fill_box(left: float, top: float, width: float, height: float, size: tuple[int, int]) -> Patch | None:
    """The pixels whose centres lie in an upright box, clipped to `size` (H, W); None if there is none.

    Raises ValueError if a number is none, or a size negative.
    """
    if not all(map(math.isfinite, (left, top, width, height))) or width < 0 or height < 0:
        raise ValueError("a box is left, top, width, height with sizes that are not negative")
    right, bottom = (min(limit, _first(end)) for end, limit in ((left + width, size[1]), (top + height, size[0])))
    x, y = max(0, _first(left)), max(0, _first(top))
    if x >= right or y >= bottom:
        return None
    return y, x, np.ones((bottom - y, right - x), bool)


def _first(edge: float) -> int:
    """The first pixel whose centre lies at or beyond a coordinate; what arithmetic adds to the last digit does not count."""
    return math.ceil(round(edge, 6) - 0.5)


def read_rle(value: Any, size: tuple[int, int]) -> Patch | None:
    """COCO's run lengths (`size`, `counts` as a list or as compressed text); None if the mask is empty.

    Raises ValueError if it is malformed or of another size than the image.
    """
    if not isinstance(value, dict) or list(value.get("size", ())) != list(size):
        raise ValueError(f"run lengths must be of the image's size {list(size)}")
    counts = value.get("counts")
    height, width = size
    if isinstance(counts, list):
        if not all(isinstance(n, int) and n >= 0 for n in counts) or sum(counts) != height * width:
            raise ValueError("the run lengths do not add up to the image")
        values = np.arange(len(counts)) % 2 == 1
        return trim(np.repeat(values, counts).reshape(width, height).T)
    if isinstance(counts, str | bytes):
        # Not pycocotools' decoder: it trusts what it is given.
        return rle.decode_patch(counts if isinstance(counts, str) else counts.decode("ascii"), height, width, MAX_PATCH)
    raise ValueError("run lengths have `counts`, a list or compressed text")


def trim(whole: npt.NDArray[np.bool_]) -> Patch | None:
    """A mask (H, W) cut to what it covers."""
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, np.ascontiguousarray(whole[top : rows[-1] + 1, left : columns[-1] + 1])
