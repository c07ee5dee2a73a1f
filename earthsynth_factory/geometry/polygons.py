"""Polygons of a mask, for readers that cannot take run lengths. RLE stays the truth; what polygons lose is measured.

Corners lie on the cracks between pixels (pixel (y, x) covers x … x + 1 and y … y + 1, COCO's convention), so polygons
without simplification rasterise back to the very mask in pycocotools. COCO unites the polygons of an object and knows
no holes; a hole is therefore joined to the outline around it by a cut of no width, there and back.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

Ring = npt.NDArray[np.int32]
"""(k, 2) corners x, y."""

Line = npt.NDArray[Any]
"""As a ring; whole or broken numbers."""

_PAIRS = 1 << 20
"""Distances that are held at a time."""


def polygons_of(mask: npt.NDArray[np.bool_], tolerance: float = 0.0) -> list[list[float]]:
    """One polygon [x, y, x, y, …] for each part of an (H, W) mask, holes included.

    tolerance: how far, in pixels, the outline may stray to save corners (Douglas–Peucker); 0 keeps every corner.
    """
    # On the doubled mask, contours through pixel centres map onto the cracks of the original by halving upwards.
    doubled = np.ascontiguousarray(mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1))
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return []
    rings = [_simplified(_corners(contour), tolerance) for contour in contours]
    parents = hierarchy[0, :, 3]
    outlines = {index: rings[index] for index in np.flatnonzero(parents < 0)}
    for index in np.flatnonzero(parents >= 0):
        outlines[parents[index]] = joined_rings(outlines[parents[index]], rings[index])
    return [[float(number) for number in ring.ravel()] for ring in outlines.values()]


def outline_iou(polygons: list[list[float]], mask: npt.NDArray[np.bool_]) -> float:
    """Intersection over union, 0–1, of an (H, W) mask and its polygons as pycocotools rasterises them."""
    if not polygons:
        return float(not mask.any())
    drawn = coco.decode(coco.merge(coco.frPyObjects(polygons, *mask.shape))).astype(bool)
    return float((drawn & mask).sum() / (drawn | mask).sum())


def joined_rings(outline: Line, ring: Line) -> Line:
    """One ring of two: the outline led to the other's nearest corner, around it, and back on the same line."""
    at, to = _nearest(outline, ring)
    around = np.roll(ring, -to, axis=0)
    return np.concatenate([outline[: at + 1], around, around[:1], outline[at:]])


def _corners(contour: npt.NDArray[np.int32]) -> Ring:
    corners = (contour[:, 0] + 1) // 2
    moved = np.any(corners != np.roll(corners, 1, axis=0), axis=1)
    return np.asarray(corners[moved], dtype=np.int32)


def _simplified(ring: Ring, tolerance: float) -> Ring:
    if not tolerance:
        return ring
    fewer = cv2.approxPolyDP(ring.reshape(-1, 1, 2), tolerance, closed=True)[:, 0]
    return np.asarray(fewer, dtype=np.int32) if len(fewer) >= 3 else ring


def _nearest(outline: Line, ring: Line) -> tuple[int, int]:
    """Indices of the two corners that lie closest; the first such pair. In blocks, so that memory stays small."""
    block = max(1, _PAIRS // len(ring))
    best, at, to = np.inf, 0, 0
    for first in range(0, len(outline), block):
        distances = np.square(outline[first : first + block, None].astype(np.float64) - ring[None]).sum(axis=2)
        row, column = np.unravel_index(int(distances.argmin()), distances.shape)
        if distances[row, column] < best:
            best, at, to = distances[row, column], first + int(row), int(column)
    return at, to
