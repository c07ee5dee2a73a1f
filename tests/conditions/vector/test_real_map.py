"""A real extract of OpenStreetMap: what is drawn is as large as shapely has it in metres, and lies where the map says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.warp import transform

from earthsynth_factory.conditions.vector.spec import VectorSource
from earthsynth_factory.domain.condition import Condition
from tests.conditions.folders import TAXONOMY
from tests.conditions.vector.maps import REAL, source

METRES = 0.5
ROAD, BUILDING = (TAXONOMY.named(name).id for name in ("road", "building"))


@pytest.fixture(scope="module")
def town() -> VectorSource:
    return source(REAL, gap=0)


@pytest.fixture(scope="module")
def drawn(town: VectorSource) -> Condition:
    """All of it in one picture."""
    return town.whole(METRES, 1)


def _rows(layer: str) -> Iterator[tuple[dict[str, Any], shapely.Geometry]]:
    """Tags and shapes in metres of UTM zone 30, read past the source."""
    pyogrio = pytest.importorskip("pyogrio", reason="vector files need pyogrio")
    pyogrio.set_gdal_config_options({"OSM_USE_CUSTOM_INDEXING": "NO"})
    try:
        about, _, shapes, columns = pyogrio.raw.read(REAL, layer=layer)
    finally:
        pyogrio.set_gdal_config_options({"OSM_USE_CUSTOM_INDEXING": None})
    for number, shape in enumerate(shapely.from_wkb(shapes)):
        there = shapely.transform(
            shape, lambda points: np.column_stack(transform("OGC:CRS84", "EPSG:32630", *points.T.tolist()))
        )
        yield {str(name): column[number] for name, column in zip(about["fields"], columns, strict=True)}, there


def _pixels(drawn: Condition, shape: shapely.Geometry) -> np.ndarray:
    """(H, W) whether a pixel's centre lies in the shape."""
    a, _, left, _, e, top = map(float, str(drawn.origin.detail["transform"]).split())
    west, south, east, north = shape.bounds
    first, last = (int(max(0, place)) for place in ((north - top) / e, (south - top) / e))
    place = np.s_[first : last + 1, int(max(0, (west - left) / a)) : int((east - left) / a) + 1]
    rows, columns = (
        np.mgrid[tuple(slice(*one.indices(size)) for one, size in zip(place, drawn.mask.shape, strict=True))] + 0.5
    )
    inside = np.zeros(drawn.mask.shape, bool)
    inside[place] = shapely.contains_xy(shape, a * columns + left, e * rows + top)
    return inside


def test_every_road_and_building_of_it_is_taken_with_its_credit(town: VectorSource) -> None:
    roads = sum(tags["highway"] is not None and not _below_ground(tags) for tags, _ in _rows("lines"))
    houses = sum(tags["building"] is not None for tags, _ in _rows("multipolygons"))
    assert (town.masks_of()[ROAD], town.masks_of()[BUILDING]) == (roads, houses) == (35, 2)
    assert town.licences() == ["hatfield.osm.pbf: © OpenStreetMap contributors, ODbL 1.0 (openstreetmap.org/copyright)"]


def _below_ground(tags: dict[str, Any]) -> bool:
    return '"tunnel"=>"yes"' in (tags["other_tags"] or "")


def test_a_motorway_in_a_tunnel_is_not_seen(drawn: Condition) -> None:
    [tunnel] = (line for tags, line in _rows("lines") if _below_ground(tags))
    under = drawn.mask[_pixels(drawn, tunnel.buffer(4))]
    assert (under == ROAD).mean() < 0.1  # a street crosses it


def test_buildings_have_their_area_and_length_within_a_pixel(town: VectorSource, drawn: Condition) -> None:
    houses = [shape for tags, shape in _rows("multipolygons") if tags["building"]]
    assert drawn.origin.detail["crs"] == "EPSG:32630"
    of_it = town._features.category == BUILDING
    assert np.sort(town._features.area[of_it]) == pytest.approx(sorted(house.area for house in houses))
    sides = [shapely.oriented_envelope(house).exterior.coords for house in houses]
    longer = sorted(max(np.hypot(*np.subtract(*side[:2])), np.hypot(*np.subtract(*side[1:3]))) for side in sides)
    assert np.sort(town._features.length[of_it]) == pytest.approx(longer)
    for house in houses:
        inside = _pixels(drawn, house)
        [number] = set(drawn.instances[inside].tolist())
        assert number and np.array_equal(drawn.instances == number, inside)
        painted = int(inside.sum()) * METRES**2
        assert abs(painted - house.area) <= house.length * METRES / 2  # half a pixel along the outline


def test_a_street_is_as_long_and_as_wide_as_its_rule_says(drawn: Condition) -> None:
    for tags, line in _rows("lines"):
        if tags["highway"] != "residential":
            continue
        street = line.buffer(3, quad_segs=4)  # 6 m
        inside = _pixels(drawn, street.buffer(-METRES / 2))
        on_top = np.isin(drawn.mask[inside], (ROAD, BUILDING))
        assert on_top.all(), tags["name"]
        ends = shapely.length(line) * 6
        assert abs(_pixels(drawn, street).sum() * METRES**2 - street.area) <= street.length * METRES / 2
        assert ends < street.area <= ends + np.pi * 9 * 1.01 or not line.is_simple
