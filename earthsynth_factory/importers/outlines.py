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

Polygon = Sequence[float]
"""x, y, x, y, … in pixels; corners may lie outside the image."""

Patch = tuple[int, int, npt.NDArray[np.bool_]]
"""Row and column of the upper left pixel, and bool (h, w)."""

MAX_PATCH = 1 << 28
"""Largest canvas of one object, in pixels."""


def fill_polygons(polygons: Sequence[Polygon], size: tuple[int, int]) -> Patch | None:
    """The union of the polygons, clipped to an image of `size` (H, W); None where nothing of it lies inside.

    Raises ValueError where a polygon has fewer than three corners, an odd count, or numbers that are none.
    """
    rings = [np.asarray(polygon, np.float64) for polygon in polygons]
    for ring in rings:
        if ring.ndim != 1 or len(ring) < 6 or len(ring) % 2 or not np.isfinite(ring).all():
            raise ValueError("a polygon is x, y, x, y, … with three corners at least")
        if np.abs(ring).max() > 1e6:
            raise ValueError("a corner lies more than a million pixels away")
    if not rings:
        raise ValueError("no polygon in it")
    # In the whole image's coordinates, for moved ones round differently; run lengths cost no more in a large image.
    runs = coco_mask.merge(coco_mask.frPyObjects([ring.tolist() for ring in rings], *size))
    return rle.decode_patch(runs["counts"].decode("ascii"), *size, MAX_PATCH)


def fill_box(left: float, top: float, width: float, height: float, size: tuple[int, int]) -> Patch | None:
    """An upright box in pixels, clipped to `size` (H, W); None where it lies outside or is thinner than a pixel's half."""
    if not all(map(math.isfinite, (left, top, width, height))) or width < 0 or height < 0:
        raise ValueError("a box is left, top, width, height with sizes that are not negative")
    right, bottom = (min(limit, round(end)) for end, limit in ((left + width, size[1]), (top + height, size[0])))
    x, y = max(0, round(left)), max(0, round(top))
    if x >= right or y >= bottom:
        return None
    return y, x, np.ones((bottom - y, right - x), bool)


def read_rle(value: Any, size: tuple[int, int]) -> Patch | None:
    """COCO's run lengths (`size`, `counts` as a list or as compressed text); None where the mask is empty.

    Raises ValueError where it is malformed or of another size than the image.
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
