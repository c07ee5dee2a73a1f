"""Scores are those of other people's code, and weighting an image is the same as having it several times."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from earthsynth_factory.evaluation.average_precision import _found, _truth
from earthsynth_factory.evaluation.classes import evaluated_classes
from earthsynth_factory.evaluation.members import gather
from earthsynth_factory.evaluation.metrics import MetricScorer
from earthsynth_factory.evaluation.outcomes import outcome_of
from earthsynth_factory.evaluation.pool import Pool, PoolOptions, write_pool
from earthsynth_factory.evaluation.spec import Task
from earthsynth_factory.training import iou
from tests.evaluation import planted


def make_pool(folder: Path, task: Task, side: int = planted.SIDE) -> Pool:
    objects = task == "detect"
    real = planted.real(folder / "real", 0, objects=objects)
    recipe = planted.asked(real, planted.made(folder / "made", planted.more(folder, 0, 4, objects=objects)), task)
    members = gather(recipe, lambda _: None)
    return write_pool(
        folder / "pool", members, evaluated_classes(members, task), PoolOptions(side, 64, 0), lambda _: None
    )


def _guesses(pool: Pool, random: np.random.Generator) -> list[Any]:
    """True boxes moved a little, some of another class, and boxes of nothing."""
    rows: list[Any] = []
    for place in pool.of("test"):
        objects = pool.objects(int(place))
        boxes = pool.boxes[objects] + random.normal(0, 2, (len(pool.boxes[objects]), 4))
        columns = np.where(random.random(len(boxes)) < 0.2, 3 - pool.columns[objects], pool.columns[objects])
        found = [[int(c), *map(float, box), float(random.random())] for c, box in zip(columns, boxes, strict=True)]
        rows.append([*found, [1, 0.0, 0.0, 9.0, 9.0, float(random.random())]])
    return rows


def test_average_precision_is_pycocotools(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, "detect")
    outcomes, places = _guesses(pool, np.random.default_rng(1)), pool.of("test")
    scores = MetricScorer("detect", pool, "test")(outcomes, np.ones((1, len(places)), np.int64))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        images = [{"id": number, "width": pool.side, "height": pool.side} for number in range(len(places))]
        truth.dataset = {
            "info": {}, "images": images, "annotations": _truth(pool, places), "categories": [{"id": 1}, {"id": 2}]
        }  # fmt: skip
        truth.createIndex()
        theirs = COCOeval(truth, truth.loadRes(_found(outcomes)), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert 0.05 < theirs.stats[0] < 0.95
    assert scores.metrics["AP"][0] == pytest.approx(theirs.stats[0], abs=1e-9)
    assert scores.metrics["AP50"][0] == pytest.approx(theirs.stats[1], abs=1e-9)


@pytest.mark.parametrize("task", ["segment", "detect", "classify"])
def test_a_weight_is_a_repetition(tmp_path: Path, task: Task) -> None:
    pool, random = make_pool(tmp_path, task), np.random.default_rng(2)
    places = pool.of("test")
    outcomes = _outcomes(pool, task, random)
    weights = random.integers(0, 3, (1, len(places)))
    repeated = np.repeat(np.arange(len(places)), weights[0])
    scorer, again = MetricScorer(task, pool, "test"), MetricScorer(task, pool, "test")
    again._places = places[repeated]
    ones = np.ones((1, len(repeated)), np.int64)
    weighted, doubled = scorer(outcomes, weights), again([outcomes[number] for number in repeated], ones)
    for name, values in weighted.metrics.items():
        assert values[0] == pytest.approx(doubled.metrics[name][0], abs=1e-9), name


def _outcomes(pool: Pool, task: Task, random: np.random.Generator) -> list[Any]:
    if task == "detect":
        return _guesses(pool, random)
    found = []
    for place in pool.of("test"):
        wrong = random.random((pool.side, pool.side)) < 0.3
        view: Any = np.where(wrong, 1, pool.masks[place]) if task == "segment" else random.integers(1, 3)
        found.append(outcome_of(task, pool, int(place), view))
    return found


def test_iou_is_that_of_the_trainer(tmp_path: Path) -> None:
    pool, random = make_pool(tmp_path, "segment"), np.random.default_rng(3)
    truth = np.stack([pool.masks[place] for place in pool.of("test")])
    seen = np.where(random.random(truth.shape) < 0.3, 1, truth).astype(np.uint8)
    outcomes = [outcome_of("segment", pool, int(p), view) for p, view in zip(pool.of("test"), seen, strict=True)]
    score = MetricScorer("segment", pool, "test")(outcomes, np.ones((1, len(outcomes)), np.int64)).metrics["mIoU"][0]
    expected = iou.mean_iou(iou.confusion(truth, seen, np.ones(len(truth), bool), []))
    assert score == pytest.approx(expected)


def test_labels_are_brought_to_one_size_with_their_image(tmp_path: Path) -> None:
    whole, half = make_pool(tmp_path / "a", "detect"), make_pool(tmp_path / "b", "detect", planted.SIDE // 2)
    assert half.images.shape[1:] == (16, 16, 3)
    wide = (whole.boxes[:, 2:] - whole.boxes[:, :2]).min(axis=1) >= 2  # what is less than a pixel is no object any more
    assert half.boxes == pytest.approx(whole.boxes[wide] / 2)
    assert set(np.unique(half.masks)) <= set(np.unique(whole.masks))
