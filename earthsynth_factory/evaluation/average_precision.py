"""Average precision as COCO counts it: matching by pycocotools, the curve here, so that images can be weighted."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.evaluation.pool import Pool

RECALLS = np.linspace(0, 1, 101)
BLOCK = 64
"""Resamplings at a time."""


@dataclass(frozen=True)
class Matches:
    """Of one class. images: (D,) number of each detection's image, detections by falling score. hits, ignored: (D, T) at
    T thresholds of IoU, 0.50 … 0.95. truths: (N,) objects to find in each image."""

    images: npt.NDArray[np.int64]
    hits: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    truths: npt.NDArray[np.int64]


def match(pool: Pool, places: npt.NDArray[np.int64], outcomes: Sequence[Any]) -> dict[int, Matches]:
    """Column → matches of the outcomes (rows column, x1, y1, x2, y2, score) with the pool's objects."""
    evaluation = _evaluated(_truth(pool, places), _found(outcomes), len(places))
    by_class: dict[int, list[Any]] = {column: [] for column in range(1, pool.classes.count)}
    for entry in evaluation:
        if entry is not None:
            by_class[entry["category_id"]].append(entry)
    return {column: _joined(entries, len(places)) for column, entries in by_class.items()}


def average_precision(matches: Matches, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(R, T) under weights (R, N); NaN if a resampling has no object of the class."""
    parts = [_block(matches, weights[first : first + BLOCK]) for first in range(0, len(weights), BLOCK)]
    return np.concatenate(parts)


def _block(matches: Matches, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    truths = weights @ matches.truths
    result = np.full((len(weights), matches.hits.shape[1]), np.nan)
    counted = weights[:, matches.images].astype(np.float64)
    for threshold in range(matches.hits.shape[1]):
        hits, ignored = matches.hits[:, threshold], matches.ignored[:, threshold]
        right = np.cumsum(counted * (hits & ~ignored), axis=1)
        every = np.cumsum(counted * ~ignored, axis=1)
        for row in np.flatnonzero(truths):
            result[row, threshold] = _area(right[row], every[row], int(truths[row]))
    return result


def _area(right: npt.NDArray[np.float64], every: npt.NDArray[np.float64], truths: int) -> float:
    """Mean precision at 101 recalls, precision never rising with recall."""
    if not len(right):
        return 0.0
    precision = right / np.maximum(every, np.spacing(1.0))
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    spots = np.searchsorted(right / truths, RECALLS, side="left")
    return float(np.where(spots < len(falling), falling[np.minimum(spots, len(falling) - 1)], 0.0).mean())


def _truth(pool: Pool, places: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for image, place in enumerate(places):
        for spot in range(*pool.objects(int(place)).indices(len(pool.ids))):
            x1, y1, x2, y2 = pool.boxes[spot].tolist()
            entries.append(
                {
                    "id": len(entries) + 1,
                    "image_id": image,
                    "category_id": int(pool.columns[spot]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(pool.crowd[spot]),
                }
            )
    return entries


def _found(outcomes: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": int(column), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for image, rows in enumerate(outcomes)
        for column, x1, y1, x2, y2, score in rows
    ]


def _evaluated(truth: list[dict[str, Any]], found: list[dict[str, Any]], images: int) -> list[Any]:
    """pycocotools' entries for every image and class, over all sizes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    columns = sorted({one["category_id"] for one in [*truth, *found]})
    whole = COCO()
    whole.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(images)],
        "categories": [{"id": column} for column in columns],
        "annotations": truth,
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its own progress
        whole.createIndex()
        evaluation = COCOeval(whole, whole.loadRes(found) if found else _empty(whole), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
    return list(evaluation.evalImgs)


def _empty(whole: Any) -> Any:
    from pycocotools.coco import COCO

    nothing = COCO()
    nothing.dataset = {**whole.dataset, "annotations": []}
    nothing.createIndex()
    return nothing


def _joined(entries: Sequence[Mapping[str, Any]], images: int) -> Matches:
    """Detections of all images by falling score; those of one score stay in the order of their images, as in COCO."""
    truths = np.zeros(images, np.int64)
    for entry in entries:
        truths[entry["image_id"]] += int((np.asarray(entry["gtIgnore"]) == 0).sum())
    scores = np.concatenate([np.asarray(entry["dtScores"], np.float64) for entry in entries] or [np.zeros(0)])
    owner = np.concatenate(
        [np.full(len(entry["dtScores"]), entry["image_id"], np.int64) for entry in entries] or [np.zeros(0, np.int64)]
    )
    order = np.argsort(-scores, kind="mergesort")
    hits = _side_by_side([entry["dtMatches"] for entry in entries])[order] > 0
    ignored = _side_by_side([entry["dtIgnore"] for entry in entries])[order] > 0
    return Matches(owner[order], hits, ignored, truths)


def _side_by_side(parts: Sequence[Any]) -> npt.NDArray[np.float64]:
    """(T, d) of every image → (D, T)."""
    arrays = [np.asarray(part, np.float64).reshape(10, -1) for part in parts]
    return np.concatenate(arrays, axis=1).T if arrays else np.zeros((0, 10))
