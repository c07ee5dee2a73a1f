"""A view shows, pixel by pixel, the source pixel under it."""

from __future__ import annotations

import math
import random

import numpy as np
import numpy.typing as npt
import pytest

from earthsynth_factory.conditions.masks import view as view_module
from earthsynth_factory.conditions.masks.view import MaskView


def _pixels_under(view: MaskView) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row and column of the source pixel, on it or beyond, that each output pixel's centre lies in."""
    v, u = np.indices((view.height, view.width)) + 0.5 - np.array([view.height, view.width])[:, None, None] / 2
    u = -u if view.mirror else u
    cos, sin = view.step * math.cos(view.angle), view.step * math.sin(view.angle)
    y, x = view.y + cos * v + sin * u, view.x - sin * v + cos * u
    return np.floor(y).astype(int), np.floor(x).astype(int)


@pytest.mark.parametrize("strip", [1, 100, 1 << 14])
def test_a_view_shows_the_pixel_that_each_position_lies_in(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "STRIP_PIXELS", strip)
    rng, chance, inside = np.random.default_rng(0), random.Random(0), 0
    for _ in range(500):
        source = rng.integers(1, 999, (chance.randint(1, 90), chance.randint(1, 90))).astype(np.uint16)
        view = MaskView(
            y=chance.choice([chance.uniform(-5, 90), chance.randint(0, 180) / 2]),
            x=chance.choice([chance.uniform(-5, 90), chance.randint(0, 180) / 2]),
            height=chance.randint(1, 40),
            width=chance.randint(1, 40),
            step=chance.choice([0.5, 1.0, 2.0, chance.uniform(0.2, 2)]),
            angle=chance.choice([chance.randint(0, 3) * math.pi / 2, chance.uniform(0, 7)]),
            mirror=chance.random() < 0.5,
        )
        rows, columns = _pixels_under(view)
        framed = np.zeros((source.shape[0] + 400, source.shape[1] + 400), source.dtype)
        framed[200:-200, 200:-200] = source
        wanted = framed[rows + 200, columns + 200]
        for found in (view.sample(source), *view.sample_both(source, source)):
            assert found.dtype == source.dtype
            np.testing.assert_array_equal(found, wanted)
        inside += bool(wanted.all())
    assert 20 < inside < 480
