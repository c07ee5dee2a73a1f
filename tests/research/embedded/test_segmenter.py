"""The segmenter learns what it is shown, and learns nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from research.embedded import segmenter as module
from research.embedded.crops import CropSet
from research.embedded.recipe import SegmenterSpec
from research.embedded.segmenter import (
    SegmenterStage,
    category_weights,
    partial_label_loss,
    sparse_categories,
    train_segmenter,
)

CPU = torch.device("cpu")
COLORS = {1: (180, 140, 100), 6: (30, 90, 200), 25: (240, 240, 240)}
SPEC = SegmenterSpec(steps=120, batch=8, widths=(8, 16), lr=1e-2)


def coloured_crops(count: int = 16, size: int = 32, seed: int = 0) -> CropSet:
    """Bare land and water halves (dense); and white tanks on unlabelled bare land or water (sparse)."""
    random = np.random.default_rng(seed)
    truth = np.full((count, size, size), 1, np.uint8)
    truth[:, :, size // 2 :] = 6
    dense = np.arange(count) % 2 == 0
    tanks = np.zeros_like(truth, bool)
    tanks[~dense, 8:20, 8:24] = True
    truth[tanks] = 25
    palette = np.zeros((256, 3))
    palette[list(COLORS)] = list(COLORS.values())
    images = np.clip(palette[truth] + random.normal(0, 8, (count, size, size, 3)), 0, 255).astype(np.uint8)
    masks = np.where(dense[:, None, None] | tanks, truth, 0).astype(np.uint8)
    return CropSet(images, masks, np.ones(count, np.float32), np.where(dense, 6, 25).astype(np.uint8), dense)


def unlike_crops(count: int, size: int = 32, seed: int = 0) -> CropSet:
    """The same masks under blots of colour, so that no two images look the same."""
    crops, random = coloured_crops(count, size, seed), np.random.default_rng([seed, 1])
    blots = [cv2.resize(blot, (size, size)) for blot in random.integers(0, 256, (count, 5, 5, 3), np.uint8)]
    return replace(crops, images=np.stack(blots))


def test_it_learns_colours_and_gives_unlabelled_land_its_own_name(tmp_path: Path) -> None:
    found = train_segmenter(coloured_crops(), SPEC, tmp_path, 1, CPU).predict(coloured_crops(seed=9).images)
    sparse = found[1]
    assert (found[0][:, :12] == 1).mean() > 0.9
    assert (found[0][:, 20:] == 6).mean() > 0.9
    assert (sparse[10:18, 10:22] == 25).mean() > 0.9
    # Background is labelled below the tank, and must not be learnt: land and water keep their names there.
    assert set(np.unique(sparse[24:])) == {1, 6}
    assert (sparse[28:, :4] == 1).all()
    assert (sparse[28:, 28:] == 6).all()


def test_the_same_seed_gives_the_same_weights_also_after_a_stop(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"steps": 4})
    stages = [SegmenterStage(spec, coloured_crops(), 1, CPU) for _ in range(2)]
    for number in range(2):
        stages[0].step(number)
    stages[1].load({name: tensor.clone() for name, tensor in stages[0].state().items()})
    straight = train_segmenter(coloured_crops(), spec, tmp_path, 1, CPU)
    for number in (2, 3):
        stages[1].step(number)
    images = coloured_crops(4).images
    np.testing.assert_array_equal(stages[1].segmenter().scores(images), straight.scores(images))


def test_a_training_that_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPEC.model_copy(update={"steps": 2})
    first = train_segmenter(coloured_crops(), spec, tmp_path, 1, CPU)
    monkeypatch.setattr(module.SegmenterStage, "step", lambda self, number: pytest.fail("trained again"))
    again = train_segmenter(coloured_crops(), spec, tmp_path, 1, CPU)
    np.testing.assert_array_equal(again.scores(coloured_crops().images), first.scores(coloured_crops().images))


def test_partial_labels_cost_the_chance_of_all_that_is_allowed() -> None:
    chances = torch.tensor([0.1, 0.2, 0.7])
    logits = chances.log()[None, :, None, None].expand(1, 3, 1, 3)
    columns = torch.tensor([[[0, 0, 2]]])
    partial = torch.tensor([[[False, True, False]]])
    allowed, weights = torch.tensor([True, True, False]), torch.tensor([1.0, 1.0, 2.0])
    loss = partial_label_loss(logits, columns, partial, allowed, weights)
    assert float(loss) == pytest.approx(-(np.log(0.1) + np.log(0.3) + 2 * np.log(0.7)) / 4, abs=1e-5)


def test_rare_categories_weigh_more_by_the_cube_root_of_their_share() -> None:
    crops = coloured_crops(2)
    crops.masks[:] = 1
    crops.masks[0, :, :16] = 6
    crops.masks[1, :, :8] = 25
    land, water, tanks = category_weights(crops, (1, 6, 25))
    assert water / land == pytest.approx(np.cbrt(5 / 2))
    assert tanks / water == pytest.approx(np.cbrt(2))


def test_sparse_categories_are_those_of_sparse_crops() -> None:
    assert sparse_categories(coloured_crops()) == (25,)
