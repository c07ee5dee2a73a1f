"""What is wanted of a comparison: the nearest other of each image, or which groups of images belong together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from earthsynth_factory.datasets.lookalikes.invariants import Bools, Floats, Places

ENOUGH = 256
"""Others that look the same as an image, of which the nearest is near enough."""


class Seeker(Protocol):
    """Asked which pairs are still of interest, and told those that look the same."""

    def sought(self, mine: Places, theirs: Places, /) -> Bools:
        """(n, m), or (n, 1) if theirs do not matter."""

    def take(self, ones: Places, others: Places, scores: Floats, /) -> None:
        """Pairs that look the same, (k,) each, and how much."""


class Nearest:
    """The nearest other of each of some images, of equals the first; of those with very many others one of the nearest."""

    def __init__(self, ones: Places) -> None:
        self._ones = np.sort(ones)
        self._scores, self._others = np.zeros(len(ones), np.float32), np.full(len(ones), -1, np.int64)
        self._many = np.zeros(len(ones), np.int64)

    def sought(self, mine: Places, _: Places) -> Bools:
        return (self._many[self._rows(mine)] < ENOUGH)[:, None]

    def take(self, ones: Places, others: Places, scores: Floats) -> None:
        np.add.at(self._many, self._rows(ones), 1)
        order = np.lexsort((others, -scores, ones))
        ones, first = np.unique(ones[order], return_index=True)
        others, scores, rows = others[order][first], scores[order][first], self._rows(ones)
        known = self._scores[rows]
        better = (scores > known) | ((scores == known) & (others < self._others[rows]))
        self._scores[rows[better]], self._others[rows[better]] = scores[better], others[better]

    def found(self) -> Iterator[tuple[int, int]]:
        """Places of those that have one, and of the other."""
        for row in np.flatnonzero(self._others >= 0):
            yield int(self._ones[row]), int(self._others[row])

    def _rows(self, ones: Places) -> Places:
        return np.searchsorted(self._ones, ones)


class Together:
    """Groups of images, joined if they have images that look the same, also through others.

    groups: (n,) the number of each image's group.
    """

    def __init__(self, groups: Places) -> None:
        self._groups = groups
        self._first = np.arange(int(groups.max(initial=-1)) + 1)

    def sought(self, mine: Places, theirs: Places) -> Bools:
        apart: Bools = self._first_of(self._groups[mine])[:, None] != self._first_of(self._groups[theirs])
        return apart

    def take(self, ones: Places, others: Places, _: Floats) -> None:
        one, other = self._first_of(self._groups[ones]), self._first_of(self._groups[others])
        while (one != other).any():
            np.minimum.at(self._first, np.maximum(one, other), np.minimum(one, other))
            one, other = self._first_of(one), self._first_of(other)

    def joined(self) -> Places:
        """Of each group the first of those it belongs with, once all was compared."""
        return self._first_of(np.arange(len(self._first)))

    def _first_of(self, groups: Places) -> Places:
        found = self._first[groups]
        while (self._first[found] != found).any():
            found = self._first[found]
        self._first[groups] = found
        return found
