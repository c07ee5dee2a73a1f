"""Scores of outcomes, image by image weighted, so that the same code scores a test and every resampling of it.

Weights (R, N): how often each of N images counts in each of R resamplings; all ones for the test itself. Scores are in
[0, 1]; NaN if a class does not occur.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.evaluation.average_precision import Matches, average_precision, match
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.spec import Task

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int64]

HEADLINE: Mapping[Task, str] = {"segment": "mIoU", "detect": "AP", "classify": "macro-F1"}
"""The number that a verdict is about."""


@dataclass(frozen=True)
class Scores:
    """By name of a metric, and by column: (R,) each."""

    metrics: Mapping[str, Floats]
    by_class: Mapping[int, Floats]

    def at(self, place: int) -> tuple[dict[str, float], dict[int, float]]:
        """The numbers of one resampling."""
        return (
            {name: float(values[place]) for name, values in self.metrics.items()},
            {column: float(values[place]) for column, values in self.by_class.items()},
        )


class MetricScorer:
    """Scores the outcomes of one part of a pool."""

    def __init__(self, task: Task, pool: Pool, part: str) -> None:
        self._task, self._pool, self._places = task, pool, pool.of(part)

    def __call__(self, outcomes: Sequence[Any], weights: Weights) -> Scores:
        """outcomes: one for each image of the part, in the pool's order."""
        if self._task == "detect":
            return self._detection(match(self._pool, self._places, outcomes), weights)
        counts = self._counts(outcomes)
        summed = np.einsum("rn,nij->rij", weights.astype(np.float64), counts)
        return self._segmentation(summed) if self._task == "segment" else self._classification(summed)

    def _counts(self, outcomes: Sequence[Any]) -> Floats:
        """(N, columns, columns): rows the truth."""
        columns = self._pool.classes.count
        if self._task == "segment":
            return np.array(outcomes, np.float64).reshape(-1, columns, columns)
        counts = np.zeros((len(outcomes), columns, columns))
        for number, (place, found) in enumerate(zip(self._places, outcomes, strict=True)):
            if found is not None:
                counts[number, self._pool.labels[place], int(found)] = 1
        return counts

    def _judged(self, confusion: Floats, formula: str) -> dict[int, Floats]:
        """Column → score; a column that a resampling lost is NaN there."""
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        truth, seen = confusion.sum(axis=2), confusion.sum(axis=1)
        below = truth + seen - hits if formula == "iou" else (truth + seen) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(truth > 0, hits / below, np.nan)
        return {column: values[:, column] for column in self._pool.classes.judged}

    def _segmentation(self, confusion: Floats) -> Scores:
        by_class = self._judged(confusion, "iou")
        pixels = np.diagonal(confusion, axis1=1, axis2=2).sum(axis=1) / confusion.sum(axis=(1, 2))
        return Scores({"mIoU": _mean(by_class), **self._tail("mIoU", by_class), "pixels right": pixels}, by_class)

    def _classification(self, confusion: Floats) -> Scores:
        by_class = self._judged(confusion, "f1")
        top = np.diagonal(confusion, axis1=1, axis2=2).sum(axis=1) / confusion.sum(axis=(1, 2))
        return Scores({"macro-F1": _mean(by_class), **self._tail("macro-F1", by_class), "top-1": top}, by_class)

    def _detection(self, matches: Mapping[int, Matches], weights: Weights) -> Scores:
        found = {column: average_precision(matches[column], weights) for column in self._pool.classes.judged}
        by_class = {column: values.mean(axis=1) for column, values in found.items()}
        half = {column: values[:, 0] for column, values in found.items()}
        return Scores({"AP": _mean(by_class), **self._tail("AP", by_class), "AP50": _mean(half)}, by_class)

    def _tail(self, name: str, by_class: Mapping[int, Floats]) -> dict[str, Floats]:
        rare = {column: by_class[column] for column in self._pool.classes.rare}
        return {f"{name}, rare classes": _mean(rare)} if rare else {}


def _mean(by_class: Mapping[int, Floats]) -> Floats:
    """Mean over the classes that occur; 0 if none does, which is a test without anything to find."""
    values = np.stack(list(by_class.values()))
    known = ~np.isnan(values)
    return np.asarray(np.where(known, values, 0).sum(axis=0) / known.sum(axis=0).clip(min=1))
