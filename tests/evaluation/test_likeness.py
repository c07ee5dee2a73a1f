"""Independent eyes: copies are near and memorised, strangers are far and not."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.evaluation.likeness import _neighbours


def test_copies_are_memorised_and_strangers_are_not() -> None:
    random = np.random.default_rng(0)
    real = random.normal(size=(200, 30))
    copies, strangers = real[:50] + random.normal(0, 1e-3, (50, 30)), random.normal(size=(50, 30))
    assert _neighbours(real, copies)["memorised"] == 50
    assert _neighbours(real, strangers)["memorised"] <= 3


def test_images_that_are_all_alike_have_no_diversity() -> None:
    random = np.random.default_rng(1)
    real = random.normal(size=(100, 30))
    alike = np.repeat(random.normal(size=(1, 30)), 40, axis=0) + random.normal(0, 0.01, (40, 30))
    assert _neighbours(real, alike)["diversity"] < 0.05
    assert _neighbours(real, random.normal(size=(100, 30)))["diversity"] == pytest.approx(1.0, abs=0.15)
