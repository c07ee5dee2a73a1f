"""KID by hand and on distributions whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.evaluation.kid import kid, polynomial_mmd, standardised


def gaussians(count: int, depth: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, depth))


def test_mmd_by_hand() -> None:
    x, y = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    within = (1 * 2 + 1) ** 3 + (0 * 1 + 1) ** 3
    between = np.mean([(a * b + 1) ** 3 for a in (1, 2) for b in (0, 1)])
    assert polynomial_mmd(x, y) == pytest.approx(within - 2 * between)


def test_is_zero_on_average_within_one_distribution_and_grows_with_a_shift() -> None:
    x, y = gaussians(600, 8), gaussians(600, 8, seed=1)
    same = kid(x, y, seed=1)
    assert abs(same.mean) < 0.05
    assert 0 < same.spread < 0.3
    near, far = kid(x, y + 0.5, seed=1).mean, kid(x, y + 1, seed=1).mean
    assert 5 * abs(same.mean) < near < far
    assert kid(x, y, seed=1) == same


def test_a_subset_is_at_most_half_of_a_set() -> None:
    x = gaussians(30, 4)
    assert kid(x, x, seed=1).size == 15
    assert kid(x, x, seed=1, subset=7).size == 7


def test_standardised_by_the_reference_alone_and_constant_features_stay() -> None:
    reference = np.stack([3 + 5 * gaussians(50, 1)[:, 0], np.full(50, 2.0)], axis=1)
    own, shifted = standardised(reference, reference + np.array([10, 1]))
    assert own.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert own.std(axis=0) == pytest.approx([1, 0])
    assert (shifted - own)[:, 0] == pytest.approx(np.full(50, 10 / reference[:, 0].std()))
    assert (shifted - own)[:, 1] == pytest.approx(np.ones(50))
