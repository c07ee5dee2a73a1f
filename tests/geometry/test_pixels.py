"""A pixel is found by its number among those that are True."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.geometry.pixels import pixels_at


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_pixels_are_found_by_their_number(share: float) -> None:
    bits = np.random.default_rng(0).random((17, 23)) < share
    every = [divmod(place, 23) for place in np.flatnonzero(bits).tolist()]
    assert list(pixels_at(bits, range(len(every)))) == every
