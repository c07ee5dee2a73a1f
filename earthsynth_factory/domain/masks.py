"""Which categories a mask holds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE


def present_classes(mask: npt.NDArray[np.uint8]) -> list[int]:
    """Category ids in a mask (H, W), ascending, without background and what is ignored."""
    ids: list[int] = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()
    return [category for category in ids if category not in (BACKGROUND, IGNORE)]
