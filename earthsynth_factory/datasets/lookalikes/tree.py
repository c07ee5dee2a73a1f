"""Images in leaves, so that two leaves tell by their boxes whether any of the one can look like any of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from earthsynth_factory.datasets.lookalikes.invariants import REACH, Bools, Floats, Places

LEAF = 1024
"""Images in a leaf at the most."""
CUT_BY = 8
"""Numbers, the coarsest, by which images are put into leaves."""


@dataclass(frozen=True)
class ImageTree:
    """low, high: (leaves, numbers), the box of each leaf."""

    leaves: Sequence[Places]
    low: Floats
    high: Floats

    @classmethod
    def of(cls, places: Places, numbers: Floats) -> ImageTree:
        """numbers: (n, …) of all images there are; those of a single grey are left out."""
        leaves = list(_leaves(places[numbers.any(axis=1)[places]], numbers))
        boxes = [(numbers[leaf].min(axis=0), numbers[leaf].max(axis=0)) for leaf in leaves]
        low, high = np.array(boxes, np.float32).reshape(-1, 2, numbers.shape[1]).transpose(1, 0, 2)
        return cls(leaves, low, high)

    def parts(self, size: int) -> Iterator[tuple[int, ImageTree]]:
        """Neighbouring leaves, this many at a time, and the number of the first."""
        for first in range(0, len(self.leaves), size):
            some = slice(first, first + size)
            yield first, ImageTree(self.leaves[some], self.low[some], self.high[some])

    def reaches(self, other: ImageTree) -> Bools:
        """(leaves, leaves of the other): whether any of the one can look like any of the other."""
        gaps = np.maximum(self.low[:, None] - other.high, other.low - self.high[:, None]).clip(0)
        near: Bools = np.linalg.norm(gaps, axis=2) <= REACH
        return near


def _leaves(places: Places, numbers: Floats) -> Iterator[Places]:
    """Cut in halves until they are small enough."""
    if len(places) <= LEAF:
        if len(places):
            yield np.sort(places)
        return
    for half in np.array_split(_in_order(places, numbers), 2):
        yield from _leaves(half, numbers)


def _in_order(places: Places, numbers: Floats) -> Places:
    """By the number in which they differ most."""
    spread = [np.ptp(numbers[places, column]) for column in range(CUT_BY)]
    return places[numbers[places, int(np.argmax(spread))].argsort(kind="stable")]
