"""Colours that are nearly those of a table: what drawing tools and lossy copies make of a mask's flat colours.

Three kinds are told apart. Near: within `TOLERANCE` of one colour of the table and twice as far from any other. Between: on
the way from one colour of the table to another, as blended borders are; nobody knows on which side. Strange: neither, and
often enough that someone meant it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TOLERANCE = 48.0
"""Farthest distance, in levels of 0–255 (Euclidean), at which a colour is taken for one of the table."""

CLEARLY = 2.0
"""How many times farther any other colour must be."""

MEANT = 16
"""Pixels of one strange colour in a window from which it is no accident."""

MANY, SHARE = 1000, 0.05
"""Pixels of one colour, and share of the window, from which it is no blend of two others though it lies between them."""

MOST = 4096
"""Different colours from which it is a photograph."""

Packed = npt.NDArray[np.uint32]


class NearColours:
    """The colours of a table, (n,) 0xRRGGBB."""

    def __init__(self, colours: Packed) -> None:
        self._colours = _levels(colours)

    def find(self, packed: Packed, pixels: int) -> tuple[npt.NDArray[np.intp], list[int]]:
        """packed: (k,) colours that are not in the table; pixels: of the whole window.

        Gives for each its place in the table, −1 where it is between, and the strange ones, 0xRRGGBB, the frequent first.
        """
        different, back, counts = np.unique(packed, return_inverse=True, return_counts=True)
        if len(different) > MOST:
            return np.full(len(packed), -1), [int(different[counts.argmax()])]
        levels = _levels(different)
        distances = np.linalg.norm(levels[:, None] - self._colours[None], axis=2)
        nearest = distances.argmin(axis=1)
        best = distances[np.arange(len(levels)), nearest]
        distances[np.arange(len(levels)), nearest] = np.inf
        near = (best <= TOLERANCE) & (distances.min(axis=1, initial=np.inf) >= CLEARLY * best)
        meant = (counts >= MANY) & (counts >= SHARE * pixels) | (counts >= MEANT) & ~self._between(levels)
        odd = ~near & meant
        order = np.argsort(-counts[odd], kind="stable")
        return np.where(near, nearest, -1)[back.ravel()], [int(colour) for colour in different[odd][order]]

    def _between(self, levels: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """(m,) whether a colour lies within the tolerance of the line between two of the table's."""
        found = np.zeros(len(levels), bool)
        for number, start in enumerate(self._colours):
            for end in self._colours[number + 1 :]:
                way = end - start
                share = np.clip((levels - start) @ way / max(way @ way, 1.0), 0, 1)
                found |= np.linalg.norm(levels - start - share[:, None] * way, axis=1) <= TOLERANCE / 2
        return found


def _levels(packed: Packed) -> npt.NDArray[np.float64]:
    return np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1).astype(np.float64)
