"""A fair sample of a stream whose length nobody knows, the same in whatever order the stream comes."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

from earthsynth_factory.domain.seeds import derive

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
