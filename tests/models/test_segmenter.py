"""The segmenter's files, its masks' independence of their company, and pictures of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.segmenter import Segmenter, SegmenterConfig, SegmenterNetwork

CPU = torch.device("cpu")
CONFIG = SegmenterConfig(categories=(0, 6, 25), widths=(4, 8, 12))


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(3)
    network = SegmenterNetwork(CONFIG)
    network.head.weight.data *= 100  # random weights alone would see one category everywhere
    return Segmenter(network, CONFIG, CPU)


def pictures(count: int, height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def test_masks_hold_the_categories_and_are_where_scores_are_highest(segmenter: Segmenter) -> None:
    images = pictures(3, 21, 37)
    masks, scores = segmenter.predict(images), segmenter.scores(images)
    assert (masks.shape, masks.dtype, scores.shape) == ((3, 21, 37), np.uint8, (3, 3, 21, 37))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(masks, np.array(segmenter.categories, np.uint8)[scores.argmax(axis=1)])
    assert len(np.unique(masks)) > 1


def test_a_picture_gives_the_same_scores_in_any_company(segmenter: Segmenter) -> None:
    images = pictures(19)
    np.testing.assert_array_equal(segmenter.scores(images)[17:18], segmenter.scores(images[17:18]))


def test_of_large_pictures_fewer_make_a_call(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        segmenter._network,
        "forward",
        lambda x: (seen.append(len(x)), SegmenterNetwork.forward(segmenter._network, x))[1],
    )
    images = pictures(5, 256, 200)
    together = segmenter.scores(images)
    assert seen == [5]
    np.testing.assert_array_equal(together[4:], segmenter.scores(images[4:]))
    segmenter.predict(pictures(1, 600, 600))
    assert seen == [5, 5, 1]


def test_what_is_saved_is_what_is_loaded(segmenter: Segmenter, tmp_path: Path) -> None:
    segmenter.save(tmp_path)
    loaded = Segmenter.load(tmp_path)
    assert loaded.categories == (0, 6, 25)
    np.testing.assert_array_equal(loaded.scores(pictures(2)), segmenter.scores(pictures(2)))


def test_what_is_no_segmenter_is_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no segmenter here"):
        Segmenter.load(tmp_path)
    segmenter.save(tmp_path)
    (tmp_path / "segmenter.safetensors").write_bytes(b"\x80\x04damage")
    with pytest.raises(ModelError, match=r"segmenter\.safetensors: not this segmenter's weights .*; train it again"):
        Segmenter.load(tmp_path)
    (tmp_path / "segmenter.json").write_text('{"categories": [0], "widths": [4, 8]}')
    with pytest.raises(ModelError, match="not a segmenter's configuration"):
        Segmenter.load(tmp_path)
    (tmp_path / "segmenter.json").write_text(" " * 70000)
    with pytest.raises(ModelError, match="70000 bytes is too large"):
        Segmenter.load(tmp_path)


def test_default_width_stays_small() -> None:
    network = SegmenterNetwork(SegmenterConfig(categories=tuple(range(20))))
    assert 400_000 < sum(p.numel() for p in network.parameters()) < 1_000_000
