"""The metrics against values that are known in closed form or by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earthsynth_factory.training.iou import confusion, ious, mean_iou
from research.embedded.report.distance import across_halves
from research.embedded.report.fidelity import MaskFidelity
from research.embedded.report.reconstruction import compare
from research.embedded.report.separation import auc, margin


def gaussians(count: int, depth: int, shift: float = 0.0, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, (count, depth)) + shift


def test_halves_never_meet_their_own_masks() -> None:
    real = {"low": gaussians(200, 4), "high": gaussians(200, 6, seed=2)}
    near, far = ({depth: one + shift for depth, one in real.items()} for shift in (1e-9, 2))
    floor, own, other = (across_halves(real, made, 1) for made in (real, near, far))
    assert floor.count == 100
    for depth in real:
        assert own.kid[depth] == pytest.approx(floor.kid[depth], abs=1e-6)
        assert other.kid[depth] > 5 * abs(floor.kid[depth])
        assert floor.spread[depth] > 0


def test_iou_by_hand() -> None:
    truth = np.array([[[1, 1, 6, 6]]], np.uint8)
    predicted = np.array([[[1, 6, 6, 0]]], np.uint8)
    counts = confusion(truth, predicted, np.array([True]), ())
    assert ious(counts) == {1: pytest.approx(1 / 2), 6: pytest.approx(1 / 3)}
    assert mean_iou(counts) == pytest.approx(5 / 12)


def test_background_of_a_sparse_mask_speaks_of_sparse_categories_alone() -> None:
    truth = np.array([[[25, 0, 0, 0]]], np.uint8)
    predicted = np.array([[[25, 25, 6, 0]]], np.uint8)
    sparse = confusion(truth, predicted, np.array([False]), (25,))
    assert ious(sparse) == {25: pytest.approx(1 / 2)}
    assert sparse.sum() == 2
    assert confusion(truth, predicted, np.array([True]), (25,)).sum() == 4


def test_mean_iou_of_background_alone_is_not_a_number() -> None:
    empty = np.zeros((1, 2, 2), np.uint8)
    assert np.isnan(mean_iou(confusion(empty, empty, np.array([True]), ())))


def test_the_ratio_of_mask_fidelity() -> None:
    found = MaskFidelity({1: 0.4, 6: 0.8}, {1: 0.2, 6: 0.1})
    assert (found.real_miou, found.generated_miou, found.ratio) == (
        pytest.approx(0.6),
        pytest.approx(0.15),
        pytest.approx(0.25),
    )
    assert MaskFidelity({1: 0.0}, {1: 0.2}).ratio == 0


def test_psnr_and_ssim() -> None:
    real = np.full((2, 32, 32, 3), 100, np.uint8)
    found = compare(real, real + np.uint8(5))
    assert found.psnr == pytest.approx(20 * np.log10(255 / 5))
    assert 0.99 < found.ssim < 1
    assert compare(real, real).psnr == 100
    noise = np.random.default_rng(0).integers(0, 256, real.shape).astype(np.uint8)
    assert compare(noise, noise[::-1].copy()).ssim < 0.1


def test_auc_and_margin_by_hand() -> None:
    cosines = np.array([[0.9, 0.1, 0.3], [0.5, 0.4, 0.3]], np.float32)
    right = np.array([0, 1])
    # right 0.9, 0.4; wrong 0.1, 0.3, 0.5, 0.3: 0.9 beats four, 0.4 beats three.
    assert auc(cosines, right) == pytest.approx(7 / 8)
    assert margin(cosines, right) == pytest.approx(((0.9 - 0.3) + (0.4 - 0.5)) / 2)
    assert auc(np.zeros((3, 2), np.float32), np.array([0, 1, 0])) == 0.5


def test_metrics_agree_with_the_network_that_is_measured() -> None:
    """The autoencoder's way through tensors keeps order, channels and range."""
    from diffusers import AutoencoderKL

    from research.embedded.report.reconstruction import BATCH, reconstruct

    class Mirror(AutoencoderKL):  # decodes what it encoded: the pixels themselves
        def encode(self, x):
            mode = lambda: x  # noqa: E731
            return type("Out", (), {"latent_dist": type("Dist", (), {"mode": staticmethod(mode)})})

        def decode(self, z):
            return type("Out", (), {"sample": z})

    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (BATCH + 3, 8, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(reconstruct(Mirror(norm_num_groups=1, block_out_channels=(4,)), images), images)
