"""Layouts of real places: true to scale and place in any system, split by ground, honest about what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.warp import transform
from shapely.affinity import translate

from earthsynth_factory.conditions.vector import VectorSpec
from earthsynth_factory.conditions.vector.tags import Tags, names_in, other_tags
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.errors import InputError, NoCondition, SourceError
from tests.conditions.folders import want
from tests.conditions.vector.maps import TOWN, geojson, geopackage, source

HOUSE = {"building": "yes"}
BUILDINGS = [{"category": "building", "where": "building is not null"}]
SYSTEMS = {
    "EPSG:32632": (500_000.0, 5_300_000.0),
    "EPSG:3857": (1_002_000.0, 6_100_000.0),
    "EPSG:4326": (9.01, 47.9),
    "EPSG:2264": (1_520_000.0, 560_000.0),  # North Carolina, in US feet
}
NEAR = 0.02
"""Pixels: how far a pixel's centre may lie on the wrong side of the outline."""
METRES = {"EPSG:32632": 1.0, "EPSG:3857": 1.0, "EPSG:4326": 1 / 111_000, "EPSG:2264": 3937 / 1200}


def _house(crs: str, east: float, north: float, width: float, height: float) -> shapely.Polygon:
    """A rectangle of about that many metres, with its lower left corner that far from the system's place."""
    (x, y), unit = SYSTEMS[crs], METRES[crs]
    return shapely.box(x + east * unit, y + north * unit, x + (east + width) * unit, y + (north + height) * unit)


def _on_ground(condition: Condition) -> tuple[str, np.ndarray]:
    """The system, and the transform as a 2 × 3 matrix."""
    detail = condition.origin.detail
    a, b, c, d, e, f = map(float, str(detail["transform"]).split())
    return str(detail["crs"]), np.array([[a, b, c], [d, e, f]])


@pytest.mark.parametrize("crs", list(SYSTEMS))
@pytest.mark.parametrize("turn", [False, True])
def test_objects_lie_where_the_map_says_and_are_as_large(tmp_path: Path, crs: str, turn: bool) -> None:
    house = _house(crs, 120, 130, 40, 25)
    far = [_house(crs, east, north, 2, 2) for east, north in ((0, 0), (300, 300))]
    map_of = geopackage(tmp_path / "m.gpkg", [(HOUSE, one) for one in (house, *far)], crs)
    drawn = source(map_of, rules=BUILDINGS, turn=turn, gap=0).draw(
        want("building", height=160, width=160, metres_per_pixel=0.5, object_size=(25, 60), seed=3)
    )
    system, matrix = _on_ground(drawn)
    outline = _in_pixels(house, crs, system, matrix)
    places = np.mgrid[:160, :160] + 0.5
    inside = shapely.contains_xy(outline, places[1].ravel(), places[0].ravel()).reshape(160, 160)
    other = np.flatnonzero((inside != (drawn.instances > 0)).ravel())
    points = shapely.points(places[1].ravel()[other], places[0].ravel()[other])
    assert inside.any() and (shapely.distance(outline.exterior, points) < NEAR).all()
    if next(iter(drawn.visible.values())) < 1:
        return
    truth = _square_metres(house, crs, system)
    around = 2 * (40 + 25) * 0.5
    assert abs(inside.sum() * 0.25 - truth) <= around * 0.5  # half a pixel along the outline


def _in_pixels(shape: shapely.Polygon, crs: str, system: str, matrix: np.ndarray) -> shapely.Polygon:
    """A shape of the map on the grid of a tile, whose transform is `matrix`."""
    points = np.asarray(shapely.segmentize(shape, shape.length / 64).exterior.coords)
    found = np.array(transform(crs, system, points[:, 0].tolist(), points[:, 1].tolist()))
    return shapely.Polygon((np.linalg.inv(matrix[:, :2]) @ (found - matrix[:, 2:])).T)


def _square_metres(shape: shapely.Polygon, crs: str, system: str) -> float:
    points = np.asarray(shape.exterior.coords)
    xs, ys = transform(crs, system, points[:, 0].tolist(), points[:, 1].tolist())
    return float(shapely.Polygon(zip(xs, ys, strict=True)).area)


def test_lines_are_as_wide_as_their_rule_says(tmp_path: Path) -> None:
    lines = [
        ({"highway": "primary"}, shapely.LineString([(0, 100), (400, 100)])),
        ({"highway": "residential"}, shapely.LineString([(0, 150), (400, 150)])),
        ({"highway": "residential"}, shapely.LineString([(0, 0), (400, 0)])),
        ({"highway": "steps"}, shapely.LineString([(0, 180), (400, 180)])),
        ({"highway": "primary"}, shapely.LineString([(0, 400), (400, 400)])),
    ]
    moved = [(tags, translate(line, 500_000, 5_300_000)) for tags, line in lines]
    map_of = geopackage(tmp_path / "m.gpkg", moved, "EPSG:32632")
    rules = [{"category": "road", "where": "highway is not null", "width": {"primary": 12, "residential": 6}}]
    found, wide = source(map_of, rules=rules, gap=0), set()
    for seed in range(8):
        column = found.draw(want("road", height=256, width=256, metres_per_pixel=0.5, seed=seed)).mask[:, 128]
        edges = np.flatnonzero(np.diff(column.astype(int)))
        entered = [int(edge) for edge in edges if column[edge] == 0]
        wide |= {int(left) - edge for edge in entered for left in edges[edges > edge][:1]}
    assert wide == {12, 24}


def test_rules_are_painted_in_their_order_and_ids_are_the_features(tmp_path: Path) -> None:
    two = shapely.MultiPolygon([shapely.box(0, 0, 30, 30), shapely.box(40, 0, 70, 30)])
    yard = shapely.Polygon(shapely.box(80, 0, 140, 60).exterior, [shapely.box(100, 20, 120, 40).exterior])
    field = shapely.box(-200, -200, 300, 300)
    shapes = [
        (HOUSE, translate(two, 500_000, 5_300_000)),
        (HOUSE, translate(yard, 500_000, 5_300_000)),
        ({"landuse": "grass"}, translate(field, 500_000, 5_300_000)),
    ]
    map_of = geopackage(tmp_path / "m.gpkg", shapes, "EPSG:32632")
    grass = {"category": "grass", "where": "landuse = 'grass'"}
    drawn = source(map_of, rules=[grass, *BUILDINGS], gap=0).draw(
        want("building", height=256, width=256, metres_per_pixel=1.0, instances=(2, 2), seed=2)
    )
    assert len(drawn.visible) == 2 and set(np.unique(drawn.mask)) == {2, 8}
    sizes = sorted(int((drawn.instances == number).sum()) for number in drawn.visible)
    assert sizes == [2 * 900, 3600 - 400]  # parts are one object, a hole is none of it
    hidden = source(map_of, rules=[*BUILDINGS, grass], gap=0)
    with pytest.raises(NoCondition, match="too little of 'building'"):
        hidden.draw(want("building", height=256, width=256, seed=2))


def test_squares_of_two_splits_do_not_touch() -> None:
    shares = {"train": 0.5, "val": 0.5}
    found = source(TOWN, shares, block=300, gap=60)
    outlines: dict[str, list[shapely.Polygon]] = {"train": [], "val": []}
    groups: dict[str, set[str]] = {"train": set(), "val": set()}
    for seed in range(40):
        for split, those in outlines.items():
            drawn = found.draw(want("road", split=split, seed=seed, metres_per_pixel=1.0))
            _, matrix = _on_ground(drawn)
            corners = matrix @ np.array([[0, 128, 128, 0], [0, 0, 128, 128], [1, 1, 1, 1]])
            those.append(shapely.Polygon(corners.T))
            groups[split].add(drawn.origin.group)
    assert not groups["train"] & groups["val"] and min(map(len, groups.values())) > 2
    assert shapely.distance(*map(shapely.union_all, outlines.values())) >= 59.9


def test_the_same_want_gives_the_same_tile_and_other_maps_another_fingerprint(tmp_path: Path) -> None:
    one, again = source(TOWN), source(TOWN)
    wanted = want("building", seed=11)
    first, second = one.draw(wanted), again.draw(wanted)
    assert np.array_equal(first.mask, second.mask) and first.origin == second.origin
    assert one.fingerprint() == again.fingerprint()
    copy = tmp_path / "elsewhere.geojson"
    copy.write_bytes(TOWN.read_bytes())
    assert source(copy).fingerprint() == one.fingerprint()  # what counts is the content, not the file's name
    copy.write_bytes(TOWN.read_bytes().replace(b'"natural":"sand"', b'"natural":"wood"', 1))
    assert source(copy).fingerprint() != one.fingerprint()


def test_a_grid_lays_tiles_side_by_side_and_ends() -> None:
    found = source(TOWN, tiles="grid", block=300, gap=0)
    seen, number = [], 0
    while True:
        try:
            drawn = found.draw(want("road", seed=number, ordinal=number, metres_per_pixel=1.0))
        except NoCondition as error:
            assert "all are used" in str(error)
            break
        _, matrix = _on_ground(drawn)
        seen.append(shapely.box(matrix[0, 2], matrix[1, 2] - 128, matrix[0, 2] + 128, matrix[1, 2]))
        number += 1
    assert number > 20
    tree = shapely.STRtree(seen)
    pairs = tree.query([one.buffer(-0.01) for one in seen], predicate="intersects").T
    assert all(a == b for a, b in pairs.tolist())


def test_negatives_show_none_of_it_and_context_is_all_that_is_painted() -> None:
    found = source(TOWN)
    drawn = found.draw(want(None, avoid=frozenset({8}), seed=4))
    assert 8 not in drawn.classes()
    alone = found.draw(want("building", context=(4,), seed=4))
    assert set(alone.classes()) <= {4, 8}


def test_an_area_bounds_what_is_read_and_where_tiles_lie(tmp_path: Path) -> None:
    whole = source(TOWN)
    left, bottom, right, top = whole._features.bounds
    system = str(whole._system)
    xs, ys = transform(system, "OGC:CRS84", [left, right - 900], [bottom, top - 500])
    part = source(TOWN, area=(xs[0], ys[0], xs[1], ys[1]), gap=0)
    assert len(part._features.category) < len(whole._features.category)
    outline = geojson(tmp_path / "area.geojson", [({}, shapely.box(xs[0], ys[0], xs[1], ys[1]))])
    by_file = source(TOWN, area=str(outline), gap=0)
    for chosen in (part, by_file):
        for seed in range(8):
            _, matrix = _on_ground(chosen.draw(want("road", seed=seed)))
            assert matrix[0, 2] >= left - 5 and matrix[0, 2] + 128 * 0.8 <= right - 895


def test_what_openstreetmap_tags_are_is_known(tmp_path: Path) -> None:
    shapes = [
        ({"building": "yes", "other_tags": None}, shapely.box(0, 0, 20, 20)),
        ({"building": None, "other_tags": '"sport"=>"tennis","leisure"=>"pitch"'}, shapely.box(30, 0, 66, 18)),
        ({"building": "no", "other_tags": '"leisure"=>"pitch","sport"=>"tennis"'}, shapely.box(30, 30, 66, 48)),
        ({"building": None, "other_tags": '"natural"=>"tree"'}, shapely.Point(80, 80)),
    ]
    moved = [(tags, translate(s, 500_000, 5_300_000)) for tags, s in shapes]
    found = source(geopackage(tmp_path / "m.gpkg", moved, "EPSG:32632")).masks_of()
    assert dict(found) == _ids(building=1, tennis_court=2, tree=1)


def _ids(**counts: int) -> dict[int, int]:
    from tests.conditions.folders import TAXONOMY

    return {TAXONOMY.named(name.replace("_", " ")).id: number for name, number in counts.items()}


BOW = shapely.Polygon([(9, 48), (9.001, 48.001), (9.001, 48), (9, 48.001)])


def test_broken_shapes_are_mended_or_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    features: list[Any] = [
        (HOUSE, BOW),
        (HOUSE, shapely.LineString([(9, 48), (9, 48)])),
        ({"highway": "primary"}, shapely.LineString([(9.0005, 48.0005), (9.0005, 48.0005)])),
        (HOUSE, shapely.Polygon()),
    ]
    rules = [*BUILDINGS, {"category": "road", "where": "highway is not null", "width": 5}]
    found = source(geojson(tmp_path / "broken.geojson", features), rules=rules)
    assert found.masks_of() == {8: 1}
    said = caplog.text
    assert "1 feature with an outline that crosses itself: mended" in said and "lines without length: left out" in said
    assert "of no extent" in said


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"rules": [{"category": "building", "where": "building is nonsense("}]}, "write SQL over tags"),
        ({"rules": [{"category": "building", "where": "load_extension('x')"}]}, "not authorized"),
        ({"rules": [{"category": "building", "where": "building = 'castle'"}]}, "no rule takes anything"),
        ({"rules": [{"category": "building", "layer": "roofs"}]}, "none of the layers asked for"),
        ({"rules": "none.toml"}, "osm-rules"),
        ({"area": (10.0, 10.0, 10.1, 10.1)}, "no rule takes anything"),
        ({"area": "none.geojson"}, "no such file"),
        ({"block": 1.0, "area": None, "gap": 0}, "larger `block`"),
        ({"block": 5}, "a gap of 50 m leaves nothing of squares of 5 m"),
        ({"rules": [{"category": "castle"}]}, "castle"),
    ],
)
def test_what_cannot_be_used_is_said(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        source(TOWN, **spec)


@pytest.mark.parametrize(
    ("east", "north", "said"),
    [
        ((179.999, -179.999), (10, 10.001), "on both sides of the 180th meridian; give it as two sources"),
        ((179.999, 180.002), (10, 10.001), "on both sides of the 180th meridian; give it as two sources"),
        ((0, 30), (50, 50.1), "from 0 to 30.001 degrees east"),
        ((48, 48.1), (139, 139.1), "no place on the globe; is it that system"),  # latitude first
    ],
)
def test_a_map_that_no_system_in_metres_holds_is_refused(
    tmp_path: Path, east: tuple[float, float], north: tuple[float, float], said: str
) -> None:
    houses = [(HOUSE, shapely.box(x, y, x + 0.001, y + 0.001)) for x, y in zip(east, north, strict=True)]
    with pytest.raises(SourceError, match=said):
        source(geojson(tmp_path / "m.geojson", houses), rules=BUILDINGS)


def test_a_shapefile_without_its_prj_is_refused(tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio", reason="vector files need pyogrio")
    shapes, path = shapely.to_wkb(np.array([shapely.box(9, 48, 9.1, 48.1)], object)), tmp_path / "m.shp"
    pyogrio.raw.write(path, shapes, [], [], crs="EPSG:4326", geometry_type="Polygon", driver="ESRI Shapefile")
    path.with_suffix(".prj").unlink()
    with pytest.raises(SourceError, match="layer 'm' has no CRS; write the file again with one"):
        source(path, rules=[{"category": "building"}])


@pytest.mark.parametrize("name", ["m.geojson", "m.vrt", "m.osm"])
def test_a_file_that_leads_to_others_is_refused(tmp_path: Path, name: str) -> None:
    other = geojson(tmp_path / "other.geojson", [(HOUSE, shapely.box(9, 48, 9.001, 48.001))])
    layer = f'<OGRVRTLayer name="other"><SrcDataSource>{other}</SrcDataSource></OGRVRTLayer>'
    path = tmp_path / name
    path.write_text(f"<OGRVRTDataSource><!-- <osm> -->{layer}</OGRVRTDataSource>")
    with pytest.raises(SourceError, match="may lead elsewhere"):
        source(path, rules=BUILDINGS)


def test_an_area_of_very_many_corners_is_refused(tmp_path: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 120_000, endpoint=False)
    ring = shapely.Polygon(np.column_stack([55 + np.cos(angles), 25 + np.sin(angles)]))
    outline = geojson(tmp_path / "area.geojson", [({}, ring)])
    with pytest.raises(SourceError, match=r"120,001 corners are more than an area may have \(100,000\); simplify it"):
        source(TOWN, area=str(outline))


def test_a_map_without_a_system_or_that_is_none_is_refused(tmp_path: Path) -> None:
    nowhere = geopackage(tmp_path / "nowhere.gpkg", [(HOUSE, shapely.box(0, 0, 9, 9))], None)
    with pytest.raises(SourceError, match="no CRS"):
        source(nowhere, rules=BUILDINGS)
    rubbish = tmp_path / "rubbish.gpkg"
    rubbish.write_bytes(b"SQLite format 3\0" + bytes(500))
    with pytest.raises(SourceError, match="not readable"):
        source(rubbish, rules=BUILDINGS)
    with pytest.raises(SourceError, match="no such file"):
        source(tmp_path / "absent.gpkg", rules=BUILDINGS)


def test_layers_of_several_systems_meet(tmp_path: Path) -> None:
    utm = shapely.box(500_000, 5_300_000, 500_040, 5_300_040)
    mercator = shapely.transform(
        utm.buffer(100), lambda p: np.column_stack(transform("EPSG:32632", "EPSG:3857", *p.T.tolist()))
    )
    path = geopackage(tmp_path / "two.gpkg", [(HOUSE, utm)], "EPSG:32632", "houses")
    geopackage(path, [({"landuse": "grass"}, mercator)], "EPSG:3857", "land")
    grass = {"category": "grass", "layer": "land"}
    drawn = source(path, rules=[grass, {"category": "building", "layer": "houses"}], gap=0).draw(
        want("building", metres_per_pixel=1.0, seed=1)
    )
    rows, columns = np.nonzero(drawn.mask == 8)
    ring = drawn.mask[max(0, rows.min() - 3) : rows.max() + 4, max(0, columns.min() - 3) : columns.max() + 4]
    assert set(np.unique(ring)) == {2, 8}


def test_a_tile_larger_than_its_square_says_so() -> None:
    with pytest.raises(NoCondition, match="larger `block`"):
        source(TOWN, block=100).draw(want("road", height=512, width=512))


@pytest.mark.parametrize("area", [[9, 48, 8, 49], [0, 0, 500, 1], [1, 2, 3]])
def test_an_area_is_four_degrees_in_order(area: list[float]) -> None:
    with pytest.raises(ValueError, match="area"):
        VectorSpec(kind="vector", path="x", area=area)  # type: ignore[arg-type]


def test_conditions_over_tags() -> None:
    tags = Tags({"a": ["x", None, "y", "x"], "n:m": [1, 2.5, None, 4]}, 4)
    assert tags.matching("a = 'x'") == [0, 3]
    assert tags.matching('a is null or "n:m" > 3') == [1, 3]
    assert tags.matching("a like 'X'") == [0, 3] and tags.matching(None) == [0, 1, 2, 3]
    assert names_in("""a in ('b c', 'd') and "e:f" is null""") == ["a", "e:f"]
    assert other_tags('"a"=>"b","c d"=>"e \\"f\\""') == {"a": "b", "c d": 'e "f"'}
    for evil in (
        "1) union select name from sqlite_master --",
        "feature in (select randomblob(9))",
        "1; drop table tags",
    ):
        with pytest.raises(SourceError):
            tags.matching(evil)
