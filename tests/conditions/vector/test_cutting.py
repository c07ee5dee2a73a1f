"""Shapes of a million corners: in pieces that together are the shape; what crosses itself is mended and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from earthsynth_factory.conditions.vector.cutting import (
    MANY_CORNERS,
    STRETCH,
    area_pieces,
    line_stretches,
    single_parts,
)
from tests.conditions.folders import want
from tests.conditions.vector.maps import geopackage, source

MILLION = 1_000_000


def _ring(corners: int, radius: float, waves: int = 0, height: float = 0.0) -> shapely.Polygon:
    """A round shape in metres, its outline waved."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    away = radius + height * np.sin(angles * waves)
    return shapely.Polygon(np.column_stack([5e5 + away * np.cos(angles), 5.3e6 + away * np.sin(angles)]))


def _comb(corners: int) -> shapely.Polygon:
    """Teeth of a kilometre, side by side."""
    places = np.arange(corners - 2)
    x, y = 5e5 + places // 2 * 0.02, 5.3e6 + np.where(np.isin(places % 4, (1, 2)), 1000, 10)
    around = [[(5e5, 5.3e6)], np.column_stack([x, y]), [(x[-1], 5.3e6)]]
    return shapely.Polygon(np.concatenate(around))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "area",
    [_ring(MILLION, 900), _ring(MILLION, 900, 200_000, 40), _comb(MILLION)],
    ids=["smooth", "spikes", "comb"],
)
def test_a_million_corners_are_cut_into_the_same_area(area: shapely.Polygon) -> None:
    pieces, owner, crossing = area_pieces(np.array([area], object))
    assert not len(crossing) and not owner.any()
    assert shapely.area(pieces).sum() == pytest.approx(area.area, rel=1e-4)  # a centimetre along the outline
    corners = shapely.get_num_coordinates(pieces)
    assert corners.sum() < 5 * MILLION and np.median(corners) <= 40 * MANY_CORNERS


def test_many_holes_stay_holes() -> None:
    holes = [shapely.Point(x, y).buffer(8, quad_segs=2) for x in range(0, 2000, 40) for y in range(0, 2000, 40)]
    area = shapely.Polygon(shapely.box(-20, -20, 2020, 2020).exterior, [one.exterior for one in holes])
    pieces, _, crossing = area_pieces(np.array([area], object))
    assert len(pieces) > 10 and not len(crossing) and shapely.is_valid(pieces).all()
    assert shapely.area(pieces).sum() == pytest.approx(area.area, rel=1e-9)
    assert shapely.get_num_coordinates(pieces).max() <= 2 * MANY_CORNERS


@pytest.mark.parametrize("corners", [8, 4000])
def test_what_crosses_itself_is_mended_and_told(corners: int) -> None:
    along = np.linspace(0, 100, corners // 2)
    bow = np.concatenate([np.column_stack([along, along]), np.column_stack([along[::-1], 100 - along[::-1]])])
    pieces, _, crossing = area_pieces(np.array([shapely.Polygon(bow), _ring(corners, 9)], object))
    assert crossing.tolist() == [0] and shapely.is_valid(pieces).all()
    assert shapely.area(pieces).sum() == pytest.approx(5000 + _ring(corners, 9).area, rel=1e-2)


def test_stretches_of_a_line_are_as_wide_as_the_line() -> None:
    angles = np.linspace(0, 2 * np.pi, 1000)
    line = shapely.LineString(np.column_stack([300 * angles, 80 * np.sin(5 * angles)]))
    pieces, owner = line_stretches(np.array([line, shapely.LineString([(0, 0), (9, 0)])], object))
    assert owner.tolist().count(1) == 1 and shapely.get_num_coordinates(pieces).max() == STRETCH
    assert shapely.length(pieces[owner == 0]).sum() == pytest.approx(line.length)
    wide = shapely.union_all(shapely.buffer(pieces[owner == 0], 4))
    assert wide.symmetric_difference(line.buffer(4)).area < 1e-3 * line.length


def test_shapes_within_shapes_are_taken_apart() -> None:
    two = shapely.MultiPoint([(0, 0), (1, 1)])
    deep = shapely.GeometryCollection([shapely.box(0, 0, 1, 1), shapely.GeometryCollection([two])])
    parts, owner = single_parts(np.array([None, deep, shapely.Point(3, 3)], object))
    assert [one.geom_type for one in parts] == ["Polygon", "Point", "Point", "Point"] and owner.tolist() == [1, 1, 1, 2]


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_lake_of_a_million_corners_is_drawn(tmp_path: Path) -> None:
    lake, pond = _ring(MILLION, 900, 20_000, 3), _ring(9, 2000)
    rules = [
        {"category": "grass", "where": "kind = 'meadow'"},
        {"category": "water", "where": "kind = 'lake'"},
    ]
    path = geopackage(tmp_path / "lake.gpkg", [({"kind": "lake"}, lake), ({"kind": "meadow"}, pond)], "EPSG:32632")
    found = source(path, rules=rules, gap=0)
    shown = {6: found.draw(want("water", seed=1)), 2: found.draw(want("grass", avoid=frozenset({6}), seed=1))}
    for number, drawn in shown.items():
        a, _, left, _, e, top = map(float, str(drawn.origin.detail["transform"]).split())
        rows, columns = np.mgrid[:128, :128] + 0.5
        away = np.hypot(left + a * columns - 5e5, top + e * rows - 5.3e6)
        assert (drawn.mask == number).any()
        assert (drawn.mask[away < 896] == 6).all() and not (drawn.mask[away > 904] == 6).any()
