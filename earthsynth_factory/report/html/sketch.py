"""Streams in bounded memory, whatever their order: a histogram of numbers whose range nobody knows beforehand, a fair sample.

Bins are multiples of a power of two. When more than `LIMIT` are in use the width doubles and neighbours join: where that
ends depends on the numbers alone, so equal datasets give equal pictures.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Generic, TypeVar

from earthsynth_factory.domain.seeds import derive

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


def common_bins(sketches: Sequence[Sketch], low: float, high: float, bars: int) -> tuple[float, float, list[list[int]]]:
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


Item = TypeVar("Item")

SEED = 0
"""The report has a seed of its own: equal datasets give equal pages, whatever seed their recipes have."""


class Reservoir(Generic[Item]):
    """Keeps the `size` items whose names hash lowest (bottom-k sampling)."""

    __slots__ = ("_heap", "_purpose", "_size")

    def __init__(self, size: int, purpose: str) -> None:
        self._size, self._purpose = size, purpose
        self._heap: list[tuple[int, str, Item]] = []

    def offer(self, name: str, item: Item) -> None:
        """Take the item in, or not. name: unique among all that are offered."""
        entry = (-derive(SEED, "report", self._purpose, name), name, item)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def items(self) -> list[Item]:
        """What was kept, in random order: any first few of it are a fair sample too."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
