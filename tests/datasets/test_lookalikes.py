"""What is told apart beforehand by a few numbers must lose no pair that a comparison of all with all finds."""

from __future__ import annotations

import tempfile

import cv2
import numpy as np
import pytest

from earthsynth_factory.datasets import lookalikes
from earthsynth_factory.datasets.lookalikes import SAME, SIDE, Lookalikes, lengths


def _images(count: int, roughness: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(128, 300, (count, 64, 64)).astype(np.float32)
    grey = np.stack([cv2.GaussianBlur(one, (0, 0), roughness) for one in noise])
    return np.clip(grey, 0, 255).astype(np.uint8)


def _by_all(ones: np.ndarray, others: np.ndarray) -> dict[int, int]:
    """Number → that of the nearest other, every pair compared in every orientation."""
    grey = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(float) for image in (*ones, *others)]
    mine, theirs = grey[: len(ones)], grey[len(ones) :]
    found = {}
    for number, one in enumerate(mine):
        seen = [np.rot90(view, turns).ravel() for view in (one, one[:, ::-1]) for turns in range(4)]
        scores = [max(np.corrcoef(view, other.ravel())[0, 1] for view in seen) for other in theirs]
        if max(scores) >= SAME:
            found[number] = int(np.argmax(scores))
    return found


@pytest.mark.parametrize(("roughness", "dense"), [(3.0, 1 << 16), (12.0, 1 << 16), (25.0, 1 << 16), (12.0, 0)])
def test_no_pair_is_lost(roughness: float, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookalikes, "BLOCK", 16)
    monkeypatch.setattr(lookalikes, "DENSE", dense)
    images = _images(70, roughness)
    images[3], images[9] = np.rot90(images[60]), images[65][:, ::-1]
    with tempfile.TemporaryFile() as file:
        looks = Lookalikes(file)
        for image in images:
            looks.add(np.repeat(image[..., None], 3, axis=2))
        found = dict(looks.nearest(np.arange(30), np.arange(30, 70)))
    expected = _by_all(images[:30], images[30:])
    assert found.keys() == expected.keys() and {3, 9} <= found.keys()
    if dense:
        assert {one: other - 30 for one, other in found.items()} == expected


def test_turning_and_mirroring_changes_no_length() -> None:
    [image] = _images(1, 2.0)
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    turned = np.stack([np.rot90(view, turns) for view in (small, small[::-1]) for turns in range(4)])
    found = lengths(turned)
    np.testing.assert_allclose(found, np.repeat(found[:1], 8, axis=0), atol=1e-5)
    assert found[0].max() > 0.1
