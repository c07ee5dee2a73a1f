"""What is kept of an image that a trained network has looked at: enough to count every score from, and no more.

segment   confusion of pixels, rows of (columns) numbers: [truth][seen]
detect    rows [column, x1, y1, x2, y2, score]
classify  the column that is seen; null for an image without a class
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.evaluation.classes import IGNORE
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.spec import Task


def outcome_of(task: Task, pool: Pool, place: int, view: Any) -> Any:
    """The outcome of one image; `view` is what the network sees in it."""
    if task == "segment":
        return pixel_confusion(np.asarray(pool.masks[place]), view, pool.classes.count).tolist()
    if task == "detect":
        return [[int(row[0]), *(round(float(value), 2) for value in row[1:5]), round(float(row[5]), 5)] for row in view]
    return int(view) if pool.labels[place] else None


def pixel_confusion(truth: npt.NDArray[np.uint8], found: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.int64]:
    """(columns, columns) pixels: rows the truth, columns what is seen; ignored pixels are left out."""
    labelled = truth != IGNORE
    pairs = truth[labelled].astype(np.int64) * columns + found[labelled]
    return np.bincount(pairs, minlength=columns * columns).reshape(columns, columns)
