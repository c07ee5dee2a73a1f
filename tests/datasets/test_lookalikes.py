"""What is told apart beforehand by a few numbers must lose no pair that a comparison of all with all finds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from earthsynth_factory.datasets.lookalikes import index, invariants, seekers, tree
from earthsynth_factory.datasets.lookalikes.index import Lookalikes
from earthsynth_factory.datasets.lookalikes.invariants import SAME, SIDE

FIRST, LATER = 40, 30


def _images(count: int, roughness: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(128, 300, (count, 64, 64)).astype(np.float32)
    grey = np.stack([cv2.GaussianBlur(one, (0, 0), roughness) for one in noise])
    return np.clip(grey, 0, 255).astype(np.uint8)


def _scores(images: np.ndarray) -> np.ndarray:
    """(n, n): every pair compared in every orientation; none with itself."""
    grey = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(float) for image in images]
    views = [
        np.array([np.rot90(view, turns).ravel() for one in grey for view in [one, one[:, ::-1]]]) for turns in range(4)
    ]
    plain = np.array([one.ravel() for one in grey])
    found = np.max([np.corrcoef(view, plain)[: 2 * len(grey), 2 * len(grey) :] for view in views], axis=0)
    scores = found.reshape(len(grey), 2, -1).max(axis=1)
    np.fill_diagonal(scores, -1)
    return scores


@pytest.fixture
def looks() -> Iterator[Lookalikes]:
    with tempfile.TemporaryFile() as file:
        yield Lookalikes(file)


@pytest.fixture(params=[(1024, 16), (8, 3), (1, 1)], ids=["one leaf", "small leaves", "an image a leaf"])
def _leaves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LEAF", request.param[0])
    monkeypatch.setattr(index, "TOGETHER", request.param[1])


@pytest.mark.usefixtures("_leaves")
@pytest.mark.parametrize("roughness", [3.0, 12.0, 25.0])
def test_no_pair_is_lost(looks: Lookalikes, roughness: float) -> None:
    images = _images(FIRST + LATER, roughness)
    images[43], images[49] = np.rot90(images[10]), images[15][:, ::-1]
    for image in images:
        looks.add(np.repeat(image[..., None], 3, axis=2))
    scores = _scores(images)
    expected = {
        one: int(scores[one, :FIRST].argmax())
        for one in range(FIRST, FIRST + LATER)
        if scores[one, :FIRST].max() >= SAME
    }
    found = list(looks.nearest([np.arange(FIRST), np.arange(FIRST, FIRST + LATER)]))
    assert {pair.one: pair.other for pair in found} == expected and {43, 49} <= expected.keys()
    assert {(pair.earlier, pair.later) for pair in found} == {(0, 1)}

    alike, together = scores >= SAME, np.arange(len(images))
    for _ in images:  # each takes the least of those it looks like, until none changes
        together = np.where(alike, together, len(images)).min(axis=1).clip(max=together)
    assert looks.together(np.arange(len(images))).tolist() == together.tolist()


@pytest.mark.usefixtures("_leaves")
def test_of_many_that_are_alike_each_is_named_with_one_and_all_go_together(
    looks: Lookalikes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seekers, "ENOUGH", 2)
    images = np.repeat(_images(2, 12.0), 20, axis=0) + np.random.default_rng(0).integers(
        0, 3, (40, 64, 64), dtype=np.uint8
    )
    for image in images:
        looks.add(np.repeat(image[..., None], 3, axis=2))
    compared: list[int] = []
    found = list(looks.nearest([np.arange(0, 40, 2), np.arange(1, 40, 2)], compared.append))
    assert [pair.one for pair in sorted(found)] == list(range(1, 40, 2)) and sum(compared) == 40
    assert all(pair.one // 20 == pair.other // 20 for pair in found)
    assert looks.together(np.arange(40), compared.append).tolist() == [0] * 20 + [20] * 20 and sum(compared) == 80


def test_those_that_are_alike_through_others_go_together(looks: Lookalikes) -> None:
    """Whichever pair is found first: a group that has joined one is not lost to it when it joins another."""
    joined = seekers.Together(np.arange(5))
    for one, other in [(3, 4), (1, 4), (2, 3), (0, 2)]:
        joined.take(np.array([one]), np.array([other]), np.ones(1, np.float32))
    assert joined.joined().tolist() == [0] * 5


def test_turning_and_mirroring_changes_no_number() -> None:
    [image] = _images(1, 2.0)
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    turned = np.stack([np.rot90(view, turns) for view in (small, small[::-1]) for turns in range(4)])
    found = invariants.invariants(turned)
    assert found.shape == (8, SIDE * SIDE - 1) and found.dtype == np.float32
    np.testing.assert_allclose(found, np.repeat(found[:1], 8, axis=0), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(invariants.shortened(found, 24), axis=1), 1, atol=1e-5)


def test_numbers_of_two_images_lie_no_farther_apart_than_the_images() -> None:
    images = np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in _images(60, 4.0)])
    apart = np.sqrt(2 - 2 * invariants.likenesses(images, images).clip(-1, 1))
    numbers = invariants.invariants(images)
    for found in (numbers, invariants.shortened(numbers, 24)):
        assert (np.linalg.norm(found[:, None] - found, axis=2) <= apart + 5e-3).all()  # likenesses are rounded
