"""Outlines brought near their image before they are filled: a filler walks every pixel of an outline, wherever it lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MAX_OUTLINE = 1 << 20
"""Longest outline that is filled, in pixels: that of an object with a million pixels at its border."""

Points = npt.NDArray[np.float64]
"""(N, 2) x, y."""


def near(rings: Sequence[Sequence[float]], size: tuple[int, int]) -> list[list[float]]:
    """The rings (x, y, x, y, …), and where they are longer than any object's, what of them is near an image of `size` (H, W).

    Rings are cut at one image's size beyond its borders, so that no pixel of it changes but by rounding. Raises ValueError
    if what is left is longer than `MAX_OUTLINE`.
    """
    points = [np.reshape(ring, (-1, 2)) for ring in rings]
    if sum(map(_length, points)) <= MAX_OUTLINE:
        return [list(ring) for ring in rings]
    found = [ring for ring in (_near(ring, size) for ring in points) if len(ring) >= 3]
    length = sum(map(_length, found))
    if length > MAX_OUTLINE:
        raise ValueError(f"an outline of {length:,.0f} pixels' length is longer than {MAX_OUTLINE:,}")
    return [ring.ravel().tolist() for ring in found]


def _near(ring: Points, size: tuple[int, int]) -> Points:
    extent = np.array([size[1], size[0]], np.float64)
    for axis in (0, 1):
        for sign in (1.0, -1.0):
            # The part where sign · x is at least `limit`: right of −W, then left of 2 W.
            limit = -extent[axis] if sign > 0 else -2 * extent[axis]
            ring = half_plane(ring, sign * ring[:, axis] - limit)
            if not len(ring):
                return ring
    return ring


def half_plane(ring: Points, above: npt.NDArray[np.float64]) -> Points:
    """The ring without the corners where `above` (N,) is negative; where it crosses zero a corner is put (Sutherland and
    Hodgman's way).
    """
    inside = above >= 0
    if inside.all():
        return ring
    following, height = np.roll(ring, -1, axis=0), np.roll(above, -1)
    crosses = inside != (height >= 0)
    share = np.divide(above, above - height, out=np.zeros_like(above), where=crosses)
    cut = ring + share[:, None] * (following - ring)
    # Each corner if it is inside, then the crossing behind it if there is one.
    return np.asarray(np.stack([ring, cut], axis=1).reshape(-1, 2)[np.stack([inside, crosses], axis=1).ravel()])


def _length(ring: Points) -> float:
    """Steps that a filler takes along the ring, in pixels."""
    return float(np.abs(np.roll(ring, -1, axis=0) - ring).max(axis=1).sum()) + len(ring)
