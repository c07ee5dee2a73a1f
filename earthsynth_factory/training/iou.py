"""Intersection over union per category, on masks some of which are labelled only in part.

Shapes: masks uint8 (N, H, W); confusion int64 (256, 256), rows the truth, columns the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE

Masks = npt.NDArray[np.uint8]
Confusion = npt.NDArray[np.int64]


def confusion(truth: Masks, predicted: Masks, dense: npt.NDArray[np.bool_], sparse: Sequence[int]) -> Confusion:
    """Counts of pixels. dense bool (N,): whether background is a statement about every category.

    Where it is not, background says only that none of the `sparse` categories is there: a pixel predicted as one of
    them is counted as false, a pixel predicted as anything else is not counted. Nothing is counted where the truth is
    ignored.
    """
    vouched = np.zeros(256, bool)
    vouched[list(sparse)] = True
    counted = (dense[:, None, None] | (truth != BACKGROUND) | vouched[predicted]) & (truth != IGNORE)
    pairs = truth[counted].astype(np.int64) << 8 | predicted[counted]
    return np.bincount(pairs, minlength=1 << 16).reshape(256, 256)


def ious(counts: Confusion) -> dict[int, float]:
    """Category → IoU in [0, 1] for every category in the truth, background left out."""
    hits, truth, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return {int(c): float(hits[c] / (truth[c] + predicted[c] - hits[c])) for c in np.flatnonzero(truth) if c}


def mean_iou(counts: Confusion) -> float:
    """Mean over the categories of `ious`; NaN if the truth is all background."""
    values = list(ious(counts).values())
    return float(np.mean(values)) if values else float("nan")
