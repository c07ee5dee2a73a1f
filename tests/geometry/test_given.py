"""What a source drew, moved and cut: exactly, and not at all where nothing is cut."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from earthsynth_factory.geometry.given import Cut, Given, cut_to, is_upright, one_ring

WHOLE = Cut.whole(100, 80)
INNER = Cut(20, 10, 60, 50, 100, 80)

number = st.floats(-30, 130, allow_nan=False).map(lambda value: round(value, 2))
ring = st.lists(st.tuples(number, number), min_size=3, max_size=8).map(lambda points: [v for p in points for v in p])


def shape(rings: object) -> shapely.Geometry:
    return shapely.union_all([shapely.make_valid(shapely.Polygon(np.reshape(one, (-1, 2)))) for one in rings])  # type: ignore[attr-defined]


def test_what_lies_inside_is_not_touched() -> None:
    one = Given(((30.123456789, 20.1, 40.2, 20.3, 35.7, 31.9),), (30.123456789, 20.1, 10.076543211, 11.8))
    assert cut_to(one, WHOLE) == one
    moved = cut_to(one, INNER)
    assert moved is not None and moved.polygons[0] == pytest.approx((10.123456789, 10.1, 20.2, 10.3, 15.7, 21.9))


@given(ring)
def test_a_polygon_is_cut_exactly(points: list[float]) -> None:
    one = Given.of_polygons([points])
    found = cut_to(one, INNER)
    wanted = shapely.intersection(shape([points]), shapely.box(20, 10, 60, 50))
    area = 0.0 if found is None else shape(found.polygons).area
    assert area == pytest.approx(wanted.area, abs=1e-6)
    if found is not None:
        again = cut_to(found, Cut.whole(40, 40))
        assert again == found, "cutting twice is cutting once"


@pytest.mark.parametrize(
    ("box", "left"),
    [
        ((30, 20, 5, 5), (10, 10, 5, 5)), ((15, 5, 10, 10), (0, 0, 5, 5)), ((0, 0, 5, 5), None),
        ((59.5, 20, 9, 2), (39.5, 10, 0.5, 2)),
    ],
)  # fmt: skip
def test_boxes_end_at_the_window(box: tuple[float, ...], left: tuple[float, ...] | None) -> None:
    found = cut_to(Given.of_box(*box), INNER)
    assert (found.box if found else None) == left


def test_an_oriented_box_is_left_alone_at_the_images_border_and_fitted_at_a_crops() -> None:
    slanted = Given.of_corners([-3, 20, 10, 12, 14, 18, 1, 26])
    assert cut_to(slanted, WHOLE) == slanted
    straight = Given.of_corners([10, 20, 40, 20, 40, 30, 10, 30])
    found = cut_to(straight, INNER)
    assert found is not None and found.corners == pytest.approx([0, 10, 20, 10, 20, 20, 0, 20])
    backwards = cut_to(Given.of_corners([40, 30, 10, 30, 10, 20, 40, 20]), INNER)
    assert backwards is not None and backwards.corners == pytest.approx([20, 20, 0, 20, 0, 10, 20, 10]), (
        "first corner, and turn"
    )


def test_holes_and_parts_become_one_line_of_the_same_area() -> None:
    outer, hole = shapely.box(0, 0, 30, 30), shapely.box(10, 10, 20, 20)
    line = one_ring([(0, 0, 30, 0, 30, 30, 0, 30), (10, 10, 10, 20, 20, 20, 20, 10)])
    found = cut_to(Given.of_polygons([line]), Cut(0, 0, 15, 40, 60, 60))
    assert found is not None
    assert shape(found.polygons).area == pytest.approx((outer - hole).intersection(shapely.box(0, 0, 15, 40)).area)


def test_plain_values_there_and_back_and_nonsense_refused() -> None:
    one = Given(((1.5, 2.5, 3.0, 4.0, 5.0, 1.0),), (1.5, 1.0, 3.5, 3.0), None, True)
    assert Given.parse(one.fields()) == one
    for wrong in ({}, {"polygons": [[1, 2]]}, {"corners": [1, 2, 3]}, {"masked": True}):
        with pytest.raises(ValueError, match="neither"):
            Given.parse(wrong)


def test_a_rectangle_that_is_its_box_is_known() -> None:
    assert is_upright([10, 12, 40, 12, 40, 32, 10, 32], (10, 12, 30, 20))
    assert is_upright([10, 32, 10, 12, 40, 12, 40, 32, 10, 32], (10, 12, 30, 20)), "in any order, closed"
    assert not is_upright([10, 12, 40, 12, 40, 32], (10, 12, 30, 20))
    assert not is_upright([10, 12, 40, 13, 40, 32, 10, 32], (10, 12, 30, 20))
