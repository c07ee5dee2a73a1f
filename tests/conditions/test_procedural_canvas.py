"""The drawing board: rasters true to scale, occlusion, refusals; silhouettes that fill their box."""

from __future__ import annotations

import math

import numpy as np
import pytest

from earthsynth_factory.conditions.procedural.canvas import Board, area
from earthsynth_factory.conditions.procedural.figures import FIGURES
from earthsynth_factory.conditions.procedural.shapes import Pose, Silhouette, ellipse, rectangle, ring, rounded, strip
from earthsynth_factory.conditions.procedural.sizes import SIZES

NONE = np.zeros(256, bool)
ANY = np.ones(256, bool)


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_figure_fills_its_box(name: str) -> None:
    size = SIZES[name]
    length, width = size.typical, size.typical * sum(size.ratio) / 2
    left, top, right, bottom = FIGURES[name](np.random.default_rng(3), length, width).bounds
    assert (right - left, bottom - top) == pytest.approx((length, width), rel=0.03)
    assert (left + right, top + bottom) == pytest.approx((0, 0), abs=0.03 * length)


def test_every_figure_has_a_size_with_its_reason() -> None:
    assert SIZES.keys() == FIGURES.keys()
    for size in SIZES.values():
        assert 0 < size.length[0] <= size.length[1] and 0 < size.ratio[0] <= size.ratio[1] and size.why


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_a_painted_rectangle_has_its_true_area(angle: float) -> None:
    board = Board(200, 200, 0.5)
    board.paint(7, rectangle(40, 20).at(Pose(50, 50, angle)))
    assert (board.codes == 7).sum() * 0.25 == pytest.approx(800, rel=0.02)


def test_a_car_is_not_grown_by_its_outline() -> None:
    board = Board(40, 40, 0.5)
    board.paint(1, rectangle(4.5, 2).at(Pose(10, 10, 0.3)))
    assert (board.codes == 1).sum() * 0.25 == pytest.approx(9, rel=0.12)


def test_areas_of_known_outlines() -> None:
    assert area(ellipse(30, 30)) == pytest.approx(math.pi * 225, rel=0.02)
    assert area(ring(40, 20)) == pytest.approx(math.pi * 300, rel=0.02)
    assert area(rounded(100, 40, 20)) == pytest.approx(60 * 40 + math.pi * 400, rel=0.02)
    assert area(strip(np.array([[0.0, 0.0], [50.0, 0.0], [100.0, 0.0]]), 7)) == pytest.approx(700, rel=0.03)
    union = rectangle(10, 10) | rectangle(10, 10, 5)
    assert area(union) == pytest.approx(150, rel=0.02)


def test_poses_turn_to_the_right() -> None:
    there = Pose(10, 20, math.pi / 2).on(3, 2, math.pi / 2)
    assert (there.x, there.y, there.angle) == pytest.approx((8, 23, math.pi))


def test_a_thing_hides_only_what_it_may_and_shares_are_counted() -> None:
    board = Board(100, 100, 1.0)
    square = rectangle(20, 20)
    assert board.place(1, square.at(Pose(50, 50)), NONE)
    assert not board.place(2, square.at(Pose(60, 50)), NONE)
    over = NONE.copy()
    over[1] = True
    assert board.place(2, rectangle(8, 20).at(Pose(56, 50)), over)
    assert board.visible() == {1: pytest.approx(0.6)}
    assert not board.place(2, rectangle(8, 20).at(Pose(44, 50)), over)
    assert (board.count(1), board.count(2)) == (1, 1)


def test_a_gap_keeps_neighbours_apart() -> None:
    board = Board(100, 100, 1.0)
    assert board.place(1, rectangle(10, 10).at(Pose(30, 50)), NONE)
    assert not board.place(1, rectangle(10, 10).at(Pose(42, 50)), NONE, gap=4)
    assert board.place(1, rectangle(10, 10).at(Pose(42, 50)), NONE, gap=1)


def test_more_than_half_must_lie_inside() -> None:
    board = Board(100, 100, 1.0)
    assert not board.place(1, rectangle(20, 20).at(Pose(-2, 50)), NONE)
    assert board.place(1, rectangle(20, 20).at(Pose(5, 50)), NONE)
    assert board.visible() == {1: pytest.approx(0.75, abs=0.02)}


def test_a_thing_stands_where_it_should() -> None:
    board = Board(60, 60, 1.0)
    board.paint(5, rectangle(60, 30).at(Pose(30, 15)))
    water = NONE.copy()
    water[5] = True
    assert not board.place(1, rectangle(20, 10).at(Pose(30, 30)), ANY, on=water)
    assert board.place(1, rectangle(20, 10).at(Pose(30, 20)), ANY, on=water)


def test_ground_never_covers_a_thing_and_crowns_hide_a_part_at_most() -> None:
    board = Board(60, 60, 1.0)
    assert board.place(1, rectangle(20, 20).at(Pose(30, 30)), NONE)
    board.paint(2, rectangle(60, 60).at(Pose(30, 30)))
    assert (board.instances == 1).sum() == 400
    board.shade(3, rectangle(6, 20).at(Pose(37, 30)))
    assert board.visible()[1] == pytest.approx(0.7)
    board.shade(3, rectangle(12, 20).at(Pose(26, 30)))
    assert board.visible()[1] == pytest.approx(0.7)
    assert (board.codes[board.instances == 1] == 1).all()


def test_a_hole_shows_the_ground_below() -> None:
    board = Board(60, 60, 1.0)
    yard = Silhouette(rectangle(30, 30).parts, rectangle(10, 10).parts)
    board.paint(4, rectangle(60, 60).at(Pose(30, 30)))
    assert board.place(1, yard.at(Pose(30, 30)), NONE)
    assert board.codes[30, 30] == 4 and board.instances[30, 30] == 0
    assert (board.instances == 1).sum() == 800
