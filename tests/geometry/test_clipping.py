"""Outlines a million pixels away cost nothing; those of usual size are not touched."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.geometry.clipping import MAX_OUTLINE, near
from earthsynth_factory.importers.outlines import fill_polygons


def test_usual_rings_come_back_as_they_are() -> None:
    ring = [-40.5, 3.25, 900.0, 3.0, 12.125, 77.0]
    assert near([ring], (64, 96)) == [ring]


def test_a_ring_around_everything_fills_everything() -> None:
    patch = fill_polygons([[-1e6, -1e6, 1e6, -1e6, 1e6, 1e6, -1e6, 1e6]], (64, 96))
    assert patch is not None
    assert patch[:2] == (0, 0) and patch[2].shape == (64, 96) and patch[2].all()


def test_a_half_plane_fills_its_half() -> None:
    patch = fill_polygons([[-1e6, -1e6, 48, -1e6, 48, 1e6, -1e6, 1e6]], (64, 96))
    assert patch is not None
    np.testing.assert_array_equal(patch[2], np.ones((64, 48), bool))


def test_what_is_far_away_is_nothing() -> None:
    assert fill_polygons([[9e5, 9e5, 1e6, 9e5, 1e6, 1e6] * 20], (64, 96)) is None


def test_an_outline_that_winds_for_ever_is_refused() -> None:
    ring = [number for turn in range(20_000) for number in (turn % 7, -9e5, turn % 5, 9e5)]
    with pytest.raises(ValueError, match=f"pixels' length is longer than {MAX_OUTLINE:,}"):
        near([ring], (64, 96))
