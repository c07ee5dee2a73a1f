"""Boxes and areas of all instances of a map, in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import InstanceMap

Boxes = npt.NDArray[np.int64]
"""(N, 4): x, y, width, height in pixels."""


def boxes_and_areas(instances: InstanceMap) -> tuple[npt.NDArray[np.int64], Boxes, npt.NDArray[np.int64]]:
    """Ids present (N, ascending, without 0), their tight boxes (N, 4) and their areas (N) in pixels."""
    rows, columns = np.nonzero(instances)
    ids, place, areas = np.unique(instances[rows, columns], return_inverse=True, return_counts=True)
    low = np.full((len(ids), 2), np.iinfo(np.int64).max)
    high = np.full((len(ids), 2), -1)
    for axis, values in enumerate((columns, rows)):
        np.minimum.at(low[:, axis], place, values)
        np.maximum.at(high[:, axis], place, values)
    return ids.astype(np.int64), np.concatenate([low, high - low + 1], axis=1), areas.astype(np.int64)
