"""Which ids a mask holds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE


def present_ids(mask: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> list[int]:
    """The distinct numbers in an array of any shape, ascending."""
    ids: list[int] = np.flatnonzero(np.bincount(mask.ravel())).tolist()
    return ids


def present_classes(mask: npt.NDArray[np.uint8]) -> list[int]:
    """Category ids in a mask (H, W), ascending, without background and what is ignored."""
    return [category for category in present_ids(mask) if category not in (BACKGROUND, IGNORE)]
