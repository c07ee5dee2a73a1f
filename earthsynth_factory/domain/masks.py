"""Which ids a mask holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE

Number = TypeVar("Number", bound=np.generic)

Ids = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def run_starts(*maps: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Which pixels of maps of one shape, flattened, differ from the one before in any of them; the first is among them.

    Masks are made of runs: what looks at each run once costs a fraction of what looks at each pixel.
    """
    begins = np.zeros(maps[0].size, bool)
    begins[:1] = True
    for flat in (one.ravel() for one in maps):
        begins[1:] |= flat[1:] != flat[:-1]
    return np.flatnonzero(begins)


def renumbered(ids: Ids, table: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The map with what the table (N,) has for each of its ids."""
    starts = run_starts(ids)
    lengths = np.diff(starts, append=ids.size)
    return np.repeat(table[ids.ravel()[starts]], lengths).reshape(ids.shape)


def present_ids(ids: Ids) -> list[int]:
    """The distinct numbers in an array of any shape, ascending."""
    present: list[int] = np.flatnonzero(np.bincount(ids.ravel()[run_starts(ids)])).tolist()
    return present


def present_classes(mask: npt.NDArray[np.uint8]) -> list[int]:
    """Category ids in a mask (H, W), ascending, without background and what is ignored."""
    return classes_of(present_ids(mask))


def pixel_counts(ids: Ids) -> dict[int, int]:
    """Pixels of every id in a map (H, W), ids ascending."""
    starts = run_starts(ids)
    counts = np.bincount(ids.ravel()[starts], np.diff(starts, append=ids.size))
    return {number: int(counts[number]) for number in np.flatnonzero(counts).tolist()}


def classes_of(ids: Iterable[int]) -> list[int]:
    """The ids that stand for a class, in their order."""
    return [category for category in ids if category not in (BACKGROUND, IGNORE)]
