"""Convex polygons: what two share, and how well they agree. (OpenCV's own finds nothing where edges fall together.)"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""(k, 2) corners x, y, clockwise as seen with y pointing down."""


def shared(one: Points, other: Points) -> Points:
    """The corners of what two polygons share, none if they share nothing; `other` is convex (Sutherland–Hodgman)."""
    for start, end in zip(other, np.roll(other, -1, axis=0), strict=True):
        one = _right_of(one, start, end)
    return one


def polygon_area(polygon: Points) -> float:
    """Area in square pixels."""
    following = np.roll(polygon, -1, axis=0)
    return float(np.sum(polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1]) / 2)


def convex_iou(one: Points, other: Points) -> float:
    """Intersection over union, 0–1, of two polygons that have an area; `other` is convex."""
    common = polygon_area(shared(one, other))
    return common / (polygon_area(one) + polygon_area(other) - common)


def _right_of(polygon: Points, start: Points, end: Points) -> Points:
    """The part of the polygon to the right of the line from `start` to `end`."""
    edge, corners = end - start, []
    sides = edge[0] * (polygon[:, 1] - start[1]) - edge[1] * (polygon[:, 0] - start[0])
    for n in range(len(polygon)):
        before, here = polygon[n - 1], polygon[n]
        if (sides[n - 1] >= 0) != (sides[n] >= 0):
            corners.append(before + (here - before) * sides[n - 1] / (sides[n - 1] - sides[n]))
        if sides[n] >= 0:
            corners.append(here)
    return np.array(corners, dtype=np.float64).reshape(-1, 2)
