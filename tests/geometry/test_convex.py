"""Areas that convex polygons share, also where their edges fall together."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.geometry.boxes import clockwise
from earthsynth_factory.geometry.convex import convex_iou, polygon_area, shared

SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])


@pytest.mark.parametrize(
    ("by", "common"), [((0, 0), 16), ((2, 0), 8), ((1, 3), 3), ((4, 0), 0), ((9, 9), 0), ((0, 2), 8)]
)
def test_shifted_squares(by: tuple[int, int], common: float) -> None:
    moved = SQUARE + by
    assert abs(polygon_area(shared(SQUARE, moved))) == pytest.approx(common)
    assert convex_iou(SQUARE, moved) == pytest.approx(common / (32 - common))


def test_a_corner_that_is_cut_off() -> None:
    diamond = clockwise(np.array([[2.0, -1.0], [5.0, 2.0], [2.0, 5.0], [-1.0, 2.0]]))
    assert len(shared(diamond, SQUARE)) == 8
    assert polygon_area(shared(diamond, SQUARE)) == pytest.approx(18 - 4 * 1)
