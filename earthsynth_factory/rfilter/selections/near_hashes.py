"""Hashes of 64 bits that differ in few: found without comparing all with all.

Hashes are cut into one band of bits more than may differ, so that two that are near agree in a band whole: only those that
do are compared. With a million hashes some hundred share a band of 12 bits.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

BITS = 64
MOST_BANDS = 8
"""Bands of fewer than eight bits part nothing from anything: beyond, all are compared."""

Hashes = npt.NDArray[np.uint64]


class NearHashes:
    """A growing set of (N,) hashes, known by their places, asked for what is near. Memory: 4 bytes a hash and band."""

    def __init__(self, most: int, hashes: Hashes) -> None:
        """most: bits in which hashes that are near may differ. hashes: of all that may be taken in."""
        self._most, self._hashes = most, hashes
        count = most + 1 if most < MOST_BANDS else 0
        edges = [round(BITS * number / count) for number in range(count + 1)] if count else []
        self._bands = [_Band(hashes, low, (1 << (high - low)) - 1) for low, high in pairwise(edges)] or [
            _Band(hashes, 0, 0)
        ]

    def add(self, place: int) -> None:
        """Take one in."""
        value = int(self._hashes[place])
        for band in self._bands:
            band.add(place, value)

    def near(self, value: int) -> list[int]:
        """Places of those that are near, ascending."""
        found: set[int] = set()
        for band in self._bands:
            places = band.sharing(value)
            if len(places):
                apart = np.bitwise_count(self._hashes[places] ^ np.uint64(value))
                found.update(places[apart <= self._most].tolist())
        return sorted(found)


class _Band:
    """Some bits of all hashes: who has which. Every value has as much room as there are hashes with it."""

    def __init__(self, hashes: Hashes, low: int, mask: int) -> None:
        self._low, self._mask = low, mask
        self._values, counts = np.unique(hashes >> np.uint64(low) & np.uint64(mask), return_counts=True)
        self._starts = np.concatenate([[0], counts.cumsum()])
        self._filled = np.zeros(len(counts), np.int64)
        self._places = np.empty(len(hashes), np.int32)

    def add(self, place: int, value: int) -> None:
        """The hash `value` of this place is one of those given at first."""
        at = int(self._values.searchsorted(np.uint64(value >> self._low & self._mask)))
        self._places[self._starts[at] + self._filled[at]] = place
        self._filled[at] += 1

    def sharing(self, value: int) -> npt.NDArray[np.int32]:
        """Places taken in whose hashes have these bits as `value` has them."""
        bits = np.uint64(value >> self._low & self._mask)
        at = int(self._values.searchsorted(bits))
        if at == len(self._values) or self._values[at] != bits:
            return self._places[:0]
        start = self._starts[at]
        return self._places[start : start + self._filled[at]]
