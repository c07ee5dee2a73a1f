"""Georeferenced exports: every pixel where it lies, read by other people's readers; what lies nowhere is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.geotiff import GeotiffSpec
from earthsynth_factory.exports.stac import StacSpec
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from tests.exports.stores import hashes, write
from tests.making import make_store

PLACES = {
    "EPSG:32640": (0.5, 0.0, 325_000.0, 0.0, -0.5, 2_775_000.0),
    "EPSG:3857": (0.8, 0.0, 1_002_000.0, 0.0, -0.8, 6_100_000.0),
    "EPSG:4326": (5e-6, 0.0, 9.0, 0.0, -5e-6, 48.0),
    "EPSG:2264": (1.6, 0.0, 1_520_000.0, 0.0, -1.6, 560_000.0),
    "EPSG:32641": (0.4, 0.3, 500_000.0, 0.3, -0.4, 5_300_000.0),  # turned
}


def placed(root: Path, crs: str | None, count: int = 3) -> BuildReader:
    """As `make_store`, somewhere on the ground."""
    make_store(root, count)
    for journal in root.rglob("samples.jsonl"):
        lines = [orjson.loads(line) for line in journal.read_bytes().splitlines()]
        for line in lines:
            if crs:
                line["origin"]["detail"] |= {"crs": crs, "transform": " ".join(map(repr, PLACES[crs]))}
        journal.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return BuildReader(root)


@pytest.mark.parametrize("crs", list(PLACES))
def test_objects_lie_on_the_ground_where_their_pixels_do(tmp_path: Path, crs: str) -> None:
    store = placed(tmp_path / "store", crs)
    write(store, tmp_path / "out", GeotiffSpec())
    features = json.loads((tmp_path / "out/geotiff/objects.geojson").read_text())["features"]
    by_image = {record.stem: record for record in store.samples()}
    assert len(features) == sum(len(record.instances) for record in by_image.values())
    grid = Affine(*PLACES[crs])
    for feature in features:
        about, record = feature["properties"], by_image[feature["properties"]["image"]]
        rows, columns = np.nonzero(store.instances(record) == about["id"])
        a, b, c, d, e, f = grid[:6]
        xs, ys = a * (columns + 0.5) + b * (rows + 0.5) + c, d * (columns + 0.5) + e * (rows + 0.5) + f
        degrees = transform(crs, "OGC:CRS84", xs.tolist(), ys.tolist())
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shape.is_valid and shapely.contains_xy(shape, *degrees).all()
        own = _in_own_system(tmp_path / "out/geotiff", crs, about)
        assert own.area == pytest.approx(len(rows) * abs(a * e - b * d), rel=1e-6)  # no pixel more


@pytest.mark.parametrize("crs", list(PLACES))
def test_objects_come_back_to_the_pixels_they_were_drawn_of(tmp_path: Path, crs: str) -> None:
    store = placed(tmp_path / "store", crs, count=1)
    write(store, tmp_path / "out", GeotiffSpec())
    [record], geotiff = store.samples(), tmp_path / "out" / "geotiff"
    for objects in ("objects", f"objects_{crs.replace(':', '_')}"):  # in degrees, and in the image's own system
        given = tmp_path / objects
        given.mkdir()
        shutil.copy(next(geotiff.rglob(f"images/{record.stem}.tif")), given)
        shutil.copy(geotiff / f"{objects}.geojson", given)
        prepare(given, tmp_path / f"{objects}-read", PrepareOptions(rules=CropRules(side=0), workers=1))
        [line] = (tmp_path / f"{objects}-read" / "instances.jsonl").read_bytes().splitlines()
        read = {(one["category"], one["rle"]) for one in orjson.loads(line)["instances"]}
        assert read == {(one.category, one.rle) for one in record.instances}


def _in_own_system(folder: Path, crs: str, about: dict[str, object]) -> shapely.Geometry:
    file = json.loads((folder / f"objects_{crs.replace(':', '_')}.geojson").read_text())
    assert file["crs"]["properties"]["name"] == crs
    [found] = [one for one in file["features"] if one["properties"] == about]
    return shapely.from_geojson(json.dumps(found["geometry"]))


def test_geotiffs_hold_pixels_palette_and_place(tmp_path: Path) -> None:
    store = placed(tmp_path / "store", "EPSG:32640")
    write(store, tmp_path / "out", GeotiffSpec())
    for record in store.samples():
        folder = tmp_path / "out/geotiff" / record.split
        with rasterio.open(folder / "images" / f"{record.stem}.tif") as image:
            assert image.crs.to_epsg() == 32640 and image.transform == Affine(*PLACES["EPSG:32640"])
            assert np.array_equal(np.moveaxis(image.read(), 0, 2), store.image(record))
            assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        with rasterio.open(folder / "labels" / f"{record.stem}.tif") as labels:
            assert np.array_equal(labels.read(1), store.mask(record)) and labels.nodata == 255
            shown = store.taxonomy[record.classes[-1]]
            assert labels.colormap(1)[shown.id][:3] == shown.color
    footprints = json.loads((tmp_path / "out/geotiff/footprints.geojson").read_text())["features"]
    assert len(footprints) == 3


def test_geotiffs_are_valid_for_the_cloud(tmp_path: Path) -> None:
    cogeo = pytest.importorskip("rio_cogeo", reason="needs rio-cogeo")
    write(placed(tmp_path / "store", "EPSG:32640"), tmp_path / "out", GeotiffSpec())
    for path in (tmp_path / "out").rglob("*.tif"):
        valid, errors, warnings = cogeo.cog_validate(path)
        assert valid and not errors and not warnings


def test_a_catalogue_opens_and_is_valid(tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac", reason="needs pystac")
    store = placed(tmp_path / "store", "EPSG:32641")
    write(store, tmp_path / "out", StacSpec(dates=("2024-05-01", "2024-09-30")))  # type: ignore[arg-type]
    collection = pystac.Collection.from_file(tmp_path / "out/stac/collection.json")
    items = list(collection.get_items(recursive=True))
    assert len(items) == 3
    validator = pytest.importorskip(
        "pystac.validation.local_validator", reason="needs pystac[validation]"
    ).LocalValidator
    check = validator()
    check.collection_validator().validate(collection.to_dict(include_self_link=False))
    for item in items:
        check.item_validator().validate(item.to_dict(include_self_link=False))
        assert item.properties["proj:code"] == "EPSG:32641"
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href()).is_file()
    west, south, east, north = collection.extent.spatial.bboxes[0]
    assert 62 < west < east < 64 and 47 < south < north < 48


def test_what_lies_nowhere_is_written_and_said(tmp_path: Path) -> None:
    store = placed(tmp_path / "store", None)
    summary = write(store, tmp_path / "out", GeotiffSpec())
    assert "3 images lie nowhere" in summary.notes[0]
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(next((tmp_path / "out").rglob("images/*.tif"))) as image:
        assert image.crs is None
    summary = write(store, tmp_path / "out", StacSpec())
    assert "no geometry" in summary.notes[0]
    item = json.loads(next((tmp_path / "out/stac").rglob("00*.json")).read_text())
    assert item["geometry"] is None and "bbox" not in item


def test_equal_datasets_give_equal_bytes(tmp_path: Path) -> None:
    store = placed(tmp_path / "store", "EPSG:32640")
    for name in ("one", "two"):
        write(store, tmp_path / name, GeotiffSpec())
        write(store, tmp_path / name, StacSpec())
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
