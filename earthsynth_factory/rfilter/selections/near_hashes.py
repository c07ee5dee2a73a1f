"""Hashes of 64 bits that differ in few: found without comparing all with all.

Hashes are cut into one band of bits more than may differ, so that two that are near agree in a band whole: only those that
do are compared. With a million hashes some hundred share a band of 12 bits.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

BITS = 64
MOST_BANDS = 8
"""Bands of fewer than eight bits part nothing from anything: beyond, all are compared."""


class NearHashes:
    """A growing set of (place, hash), asked for what is near. Memory: 8 bytes a hash and band."""

    def __init__(self, most: int) -> None:
        """most: bits in which hashes that are near may differ."""
        self._most = most
        count = most + 1 if most < MOST_BANDS else 0
        edges = [round(BITS * number / count) for number in range(count + 1)] if count else []
        self._bands = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)] or [(0, 0)]
        self._held: list[defaultdict[int, list[tuple[int, int]]]] = [defaultdict(list) for _ in self._bands]

    def add(self, place: int, value: int) -> None:
        """Take one in."""
        entry = (place, value)
        for (low, mask), held in zip(self._bands, self._held, strict=True):
            held[value >> low & mask].append(entry)

    def near(self, value: int) -> list[int]:
        """Places of those that are near, ascending."""
        found: set[int] = set()
        for (low, mask), held in zip(self._bands, self._held, strict=True):
            found.update(
                place for place, other in held.get(value >> low & mask, ()) if (value ^ other).bit_count() <= self._most
            )
        return sorted(found)
