"""Boxes around instances: tight upright ones of all instances at once, and the smallest rotated one of a single mask."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.geometry.runs import Runs


def tight_boxes(runs: Runs) -> npt.NDArray[np.int64]:
    """(n, 4) boxes (x, y, width, height) in pixels, in the order of `runs.ids`; a single pixel has width and height 1."""
    if not len(runs.ids):
        return np.zeros((0, 4), np.int64)
    left, top = np.divmod(runs.starts, runs.height)
    right, bottom = np.divmod(runs.starts + runs.lengths - 1, runs.height)
    # A run that goes on into the next column has met the lower border and begins again at the upper one.
    wraps = left != right
    top[wraps], bottom[wraps] = 0, runs.height - 1
    x, y = np.minimum.reduceat(left, runs.first), np.minimum.reduceat(top, runs.first)
    right, bottom = np.maximum.reduceat(right, runs.first), np.maximum.reduceat(bottom, runs.first)
    return np.stack([x, y, right - x + 1, bottom - y + 1], axis=1)


def touches_border(boxes: npt.NDArray[np.int64], height: int, width: int) -> npt.NDArray[np.bool_]:
    """(n,) whether each box (x, y, width, height) reaches the border of an (height, width) image."""
    x, y, w, h = boxes.T
    return np.asarray((x == 0) | (y == 0) | (x + w == width) | (y + h == height))


def oriented_box(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(4, 2) corners x, y of the smallest rectangle, at any angle, around the pixels of an (H, W) mask.

    Coordinates are continuous: pixel (y, x) covers x … x + 1 and y … y + 1. Raises ValueError for an empty mask.
    """
    rows, columns = np.nonzero(mask)
    if not rows.size:
        raise ValueError("an empty mask has no oriented box")
    upper_left = np.stack([columns, rows], axis=1)
    corners = np.concatenate([upper_left + shift for shift in ((0, 0), (1, 0), (0, 1), (1, 1))])
    hull = cv2.convexHull(corners.astype(np.int32))
    return np.asarray(cv2.boxPoints(cv2.minAreaRect(hull)), dtype=np.float64)


def clockwise(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The (4, 2) corners x, y as seen clockwise (y points down), from the one nearest the upper left: least x + y, then y."""
    following = np.roll(corners, -1, axis=0)
    turned = np.sum(corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]) < 0
    ordered = corners[::-1] if turned else corners
    first = min(range(4), key=lambda n: (ordered[n].sum(), ordered[n, 1]))
    return np.roll(ordered, -first, axis=0)
