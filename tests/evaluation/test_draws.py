"""What a run sees: the same steps, the same real images in the same order, and of the made ones as many as were asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.evaluation.draws import draws
from earthsynth_factory.evaluation.plan import Run, covering, material, runs_of
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.spec import ArmName
from earthsynth_factory.evaluation.views import noise_of, seen, turned_boxes, unaugmented
from earthsynth_factory.training.order import dihedral
from tests.evaluation import planted
from tests.evaluation.test_scores import make_pool

STEPS, BATCH = 40, 4


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return make_pool(tmp_path_factory.mktemp("pool"), "segment")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return make_pool(tmp_path_factory.mktemp("objects"), "detect")


def _draws(pool: Pool, arm: ArmName, dose: float = 1.0, share: float = 0.5, seed: int = 0) -> list[int]:
    run = Run(arm, share, dose, seed)
    return draws(pool, run, material(pool, run, 7), 7, STEPS, BATCH).ravel().tolist()  # type: ignore[no-any-return]


def test_real_images_come_in_one_order_in_every_arm(pool: Pool) -> None:
    real = set(pool.of("train").tolist())
    alone = _draws(pool, "real")
    for arm in ("augmented", "synthetic", "noise", "two-streams", "synthetic-first", "synthetic-augmented"):
        within = [place for place in _draws(pool, arm) if place in real]  # type: ignore[arg-type]
        assert within == alone[: len(within)], arm
    assert _draws(pool, "real", seed=1) != alone


def test_noise_has_the_batches_of_synthetic(pool: Pool) -> None:
    assert _draws(pool, "noise") == _draws(pool, "synthetic")


@pytest.mark.parametrize(
    ("arm", "share"), [("synthetic", 8 / 14), ("two-streams", 0.5), ("synthetic-first", 0.3), ("synthetic-alone", 1.0)]
)
def test_how_much_of_a_run_is_made(pool: Pool, arm: ArmName, share: float) -> None:
    """8 made images beside 6 real ones."""
    made = np.isin(_draws(pool, arm, dose=8 / 6), pool.of("synthetic"))
    assert made.mean() == pytest.approx(share, abs=0.02)
    if arm == "synthetic-first":
        assert made[: int(0.3 * STEPS) * BATCH].all() and not made[int(0.3 * STEPS) * BATCH :].any()


def test_every_image_comes_once_an_epoch(pool: Pool) -> None:
    first = _draws(pool, "synthetic", dose=8 / 6)[:14]
    assert len(set(first)) == 14


def test_smaller_shares_and_doses_begin_larger_ones(pool: Pool) -> None:
    few, many = (material(pool, Run("synthetic", share, dose, 3), 7) for share, dose in ((0.25, 1), (1.0, 0.6)))
    assert few.real.tolist() == many.real[: len(few.real)].tolist()
    assert few.made.tolist() == many.made[: len(few.made)].tolist()
    twice = material(pool, Run("more-real", 0.25, 0, 3), 7).real
    assert len(twice) == 2 * len(few.real) and twice[:3].tolist() == few.real.tolist()


def test_a_small_share_holds_every_class(objects: Pool) -> None:
    for seed in range(20):
        first = covering(objects, objects.of("train"), seed)[:2]
        assert objects.holds[first][:, 1:].any(axis=0).all()


def test_rare_classes_come_oftener_with_copy_paste(objects: Pool) -> None:
    rare = np.flatnonzero(objects.holds[:, 1] & ~objects.holds[:, 2])
    common = np.flatnonzero(objects.holds[:, 2] & ~objects.holds[:, 1])
    if objects.holds[objects.of("train"), 1].sum() > objects.holds[objects.of("train"), 2].sum():
        rare, common = common, rare
    found = np.array(_draws(objects, "copy-paste", share=1.0))
    times = np.bincount(found, minlength=len(objects.parts))
    assert (
        times[np.intersect1d(rare, objects.of("train"))].mean()
        > times[np.intersect1d(common, objects.of("train"))].mean()
    )


@pytest.mark.parametrize("turn", range(8))
def test_boxes_turn_with_their_image(turn: int) -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[2:5, 1:9] = 1
    rows, columns = np.nonzero(dihedral(mask, turn))
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert turned_boxes(np.array([[1, 2, 9, 5]], np.float32), turn, 10)[0].tolist() == expected


def test_pasted_objects_bring_their_pixels_boxes_and_classes(objects: Pool) -> None:
    train, run = objects.of("train"), Run("copy-paste", 1.0, 0, 0)
    grown = 0
    for step in range(12):
        for place, one in zip(train, seen(objects, run, train, train, 7, step), strict=True):
            assert len(one.boxes) == len(one.columns)
            for (x1, y1, x2, y2), column in zip(one.boxes.astype(int), one.columns, strict=True):
                assert (one.mask[y1:y2, x1:x2] == column).any()
            grown += len(one.boxes) > len(unaugmented(objects, int(place)).boxes)
    assert grown > 5


def test_noise_takes_the_place_of_made_images_alone(pool: Pool) -> None:
    places = np.array([pool.of("train")[0], pool.of("synthetic")[0]])
    kept, replaced = seen(pool, Run("noise", 1.0, 1.0, 0), places, pool.of("train"), 7, 0)
    assert (kept.image == pool.images[places[0]]).all()
    assert (replaced.image == noise_of(int(places[1]), pool.side)).all()
    assert (replaced.mask == pool.masks[places[1]]).all()


def test_arms_of_a_plan(tmp_path: Path) -> None:
    recipe = planted.asked(tmp_path, tmp_path, shares=(0.5, 1.0), seeds=2, doses=(0, 0.5, 9.0))
    runs = runs_of(recipe, made=2.0)
    assert len(runs) == len(set(runs))
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    assert {run.arm for run in runs if run.share == 0.5} == {"real", "augmented", "synthetic", "noise", "more-real"}
    assert {run.arm for run in runs if run.share == 1.0} == {"real", "augmented", "synthetic", "noise", "fewer-real"}
    # There are made images for twice the real ones at most, so for four times a half of them.
    assert {run.dose for run in runs if run.arm == "synthetic" and run.share == 0.5} == {0.5, 1.0, 4.0}
    assert {run.dose for run in runs if run.arm == "synthetic" and run.share == 1.0} == {0.5, 1.0, 2.0}
