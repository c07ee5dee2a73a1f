"""A histogram of numbers whose range nobody knows beforehand, in bounded memory and independent of their order.

Bins are multiples of a power of two. When more than `LIMIT` are in use the width doubles and neighbours join: where that
ends depends on the numbers alone, so equal datasets give equal pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LIMIT = 96
"""Bins in use at most."""

FINEST = -20
"""log2 of the first bin width: a millionth, the precision of stored scores."""


class Sketch:
    """Counts of numbers by bin: `bins[i]` of them lie in [i, i + 1) × 2^level."""

    __slots__ = ("bins", "level")

    def __init__(self) -> None:
        self.level = FINEST
        self.bins: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Count one finite number."""
        index = math.floor(math.ldexp(value, -self.level))
        self.bins[index] = self.bins.get(index, 0) + 1
        while len(self.bins) > LIMIT:
            self._join(self.level + 1)

    def at(self, level: int) -> dict[int, int]:
        """The bins at a level that is no finer than the own one."""
        found: dict[int, int] = {}
        for index, number in self.bins.items():
            found[index >> level - self.level] = found.get(index >> level - self.level, 0) + number
        return found

    @property
    def count(self) -> int:
        """Numbers in it."""
        return sum(self.bins.values())

    def _join(self, level: int) -> None:
        self.bins, self.level = self.at(level), level


def quantiles(sketches: Sequence[Sketch], shares: Sequence[float]) -> list[float]:
    """Middles of the bins that hold these shares of all numbers; the sketches hold at least one together."""
    level = max(sketch.level for sketch in sketches)
    together: dict[int, int] = {}
    for sketch in sketches:
        for index, number in sketch.at(level).items():
            together[index] = together.get(index, 0) + number
    total, found = sum(together.values()), []
    for share in shares:
        passed = 0
        for index in sorted(together):
            passed += together[index]
            if passed >= share * total:
                break
        found.append(math.ldexp(index + 0.5, level))
    return found


def spread(sketches: Sequence[Sketch], low: float, high: float, bars: int) -> tuple[float, float, list[list[int]]]:
    """The sketches as at most `bars` + 1 equal bins over low … high: (left edge, right edge, counts of each sketch).

    What lies outside is counted in the first and the last bin.
    """
    least = max(high - low, 1e-6, abs(high) * 1e-6)
    level = max(math.ceil(math.log2(least / bars)), *(sketch.level for sketch in sketches))
    first, last = (math.floor(math.ldexp(edge, -level)) for edge in (low, high))
    counts = []
    for sketch in sketches:
        row = [0] * (last - first + 1)
        for index, number in sketch.at(level).items():
            row[min(max(index, first), last) - first] += number
        counts.append(row)
    return math.ldexp(first, level), math.ldexp(last + 1, level), counts
