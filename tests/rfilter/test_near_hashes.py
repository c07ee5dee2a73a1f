"""Bands find what a comparison of all with all finds."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.rfilter.selections.base import Gathered, Prints
from earthsynth_factory.rfilter.selections.duplicates import DuplicatesSpec
from earthsynth_factory.rfilter.selections.near_hashes import NearHashes


def _hashes(count: int) -> np.ndarray:
    """Many of them a few bits from one another."""
    rng = np.random.default_rng(3)
    found = rng.integers(0, 1 << 63, count, dtype=np.uint64)
    for place in range(1, count, 2):
        flips = sum(1 << int(bit) for bit in rng.choice(64, rng.integers(0, 8), replace=False))
        found[place] = int(found[rng.integers(0, place)]) ^ flips
    return found


@pytest.mark.parametrize("most", [0, 1, 4, 7, 8, 64])
def test_bands_lose_nothing(most: int) -> None:
    hashes = _hashes(120)
    near = NearHashes(most, hashes)
    for place, value in enumerate(hashes.tolist()):
        assert near.near(value) == [other for other in range(place) if (value ^ int(hashes[other])).bit_count() <= most]
        near.add(place)


def test_many_that_are_alike_are_quick_and_leave_one() -> None:
    count = 30_000
    prints = Prints(
        [str(n) for n in range(count)], [f"{n:032x}" for n in range(count)], np.zeros(count, np.uint64), None
    )
    gone = DuplicatesSpec(kind="duplicates").select(Gathered(prints, [None] * count, {}), np.ones(count, bool))
    assert len(gone) == count - 1 and gone[7] == "nearly the same as 0"
