"""Which ids a mask holds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE


def present_ids(mask: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> list[int]:
    """The distinct numbers in an array of any shape, ascending."""
    ids: list[int] = np.flatnonzero(np.bincount(mask.ravel())).tolist()
    return ids


def present_classes(mask: npt.NDArray[np.uint8]) -> list[int]:
    """Category ids in a mask (H, W), ascending, without background and what is ignored."""
    return classes_of(pixel_counts(mask))


def pixel_counts(mask: npt.NDArray[np.uint8]) -> dict[int, int]:
    """Pixels of every id in a mask (H, W), ids ascending."""
    counts = np.bincount(mask.ravel())
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


def classes_of(ids: Iterable[int]) -> list[int]:
    """The ids that stand for a class, in their order."""
    return [category for category in ids if category not in (BACKGROUND, IGNORE)]
