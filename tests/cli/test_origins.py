"""What a file says beside its pixels stays with every crop of it: place, file, no-data value, bands, time; on every way."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import rasterio
from affine import Affine

from earthsynth_factory.io.pictures import Picture
from tests.cli.conftest import Run

SIDE = 96
GRID = Affine(0.5, 0, 400_000, 0, -0.5, 5_600_000)
SAID = {"source_file": "north.tif", "nodata": -3.4028234663852886e38, "bands": [3, 2, 1]}
TIME = "2024-05-01T10:11:12Z"


def image(path: Path, nodata: float, **tags: str) -> Path:
    """Blue, green, red and infrared in floats; a square without data in the upper left corner."""
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 4, "dtype": "float32"}
    pixels = np.random.default_rng(3).uniform(1, 3000, (4, SIDE, SIDE)).astype(np.float32)
    pixels[:, :8, :8] = nodata
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", crs="EPSG:32632", transform=GRID, nodata=nodata, **profile) as file:
        file.write(pixels)
        file.descriptions = ("Blue", "Green", "Red", "NIR")
        file.update_tags(ns="IMAGERY", **tags)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A picture with a house in each of its four crops."""
    image(tmp_path / "source/images/north.tif", SAID["nodata"], ACQUISITIONDATETIME="2024-05-01 10:11:12")  # type: ignore[arg-type]
    features = []
    for column, row in ((20, 20), (70, 20), (20, 70), (70, 70)):
        x, y = GRID.c + column * GRID.a, GRID.f + row * GRID.e
        ring = [[x, y], [x + 6, y], [x + 6, y - 5], [x, y - 5], [x, y]]
        features.append({"type": "Feature", "properties": {"class": "building"},
                         "geometry": {"type": "Polygon", "coordinates": [ring]}})  # fmt: skip
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    (tmp_path / "source/houses.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "crs": crs, "features": features})
    )
    return tmp_path / "source"


@pytest.fixture
def prepared(run: Run, source: Path, tmp_path: Path) -> Path:
    code, _, err = run("prepare", source, "--out", tmp_path / "data", "--crop", 48, "--stretch", "p2-98")
    assert code == 0, err
    return tmp_path / "data"


def items(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = orjson.loads((folder / "dataset.json").read_bytes())["items"]
    return found


def test_crops_know_what_they_were_cut_from(prepared: Path) -> None:
    for item in items(prepared).values():
        assert {name: item[name] for name in SAID} == SAID and item["datetime"] == TIME
        top, left = item["corner"]
        assert item["crs"] == "EPSG:32632"
        assert item["transform"] == [0.5, 0, 400_000 + left / 2, 0, -0.5, 5_600_000 - top / 2]
    assert len({tuple(item["corner"]) for item in items(prepared).values()}) == len(items(prepared)) >= 4


def test_split_and_merge_keep_it(run: Run, prepared: Path, tmp_path: Path) -> None:
    assert run("split", prepared, "--out", tmp_path / "split", "--ratios", "train=1")[0] == 0
    assert run("merge", tmp_path / "split", prepared, "--out", tmp_path / "merged")[0] == 0
    names = {*SAID, "datetime", "crs", "transform", "corner"}
    before = [{name: item[name] for name in names} for item in items(prepared).values()]
    for folder in ("split", "merged"):
        after = [{name: item[name] for name in names} for item in items(tmp_path / folder).values()]
        assert after and all(item in before for item in after)


def test_exports_carry_it(run: Run, prepared: Path, tmp_path: Path) -> None:
    formats = "coco,webdataset,hf-parquet,geotiff,prepared"
    assert run("export", prepared, "--out", tmp_path / "out", "-f", formats)[0] == 0
    out = tmp_path / "out"
    wanted = SAID | {"datetime": TIME, "crs": "EPSG:32632"}
    coco = json.loads(next(out.rglob("instances_*.json")).read_text())["images"]
    parquet = pytest.importorskip("pyarrow.parquet").read_table(next(out.rglob("*.parquet"))).to_pylist()
    with tarfile.open(next(out.rglob("*.tar"))) as archive:
        members = [archive.extractfile(one) for one in archive if one.name.endswith(".json")]
        shards = [json.load(member) for member in members if member]
    for rows in (coco, parquet, shards, list(items(out / "prepared").values())):
        assert rows and all({name: row[name] for name in wanted} == wanted for row in rows)
    path = next((out / "geotiff").rglob("images/*.tif"))
    with rasterio.open(path) as file:
        tags = file.tags()
        assert (tags["SOURCE_FILE"], tags["SOURCE_BANDS"]) == ("north.tif", "3 2 1")
        assert float(tags["SOURCE_NODATA"]) == SAID["nodata"]
    with Picture(path) as picture:
        assert picture.about_source() == {"datetime": TIME}, "what we write is read again"


def test_an_item_of_a_catalogue_has_its_time(run: Run, prepared: Path, tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac", reason="needs pystac")
    assert run("export", prepared, "--out", tmp_path / "out", "-f", "stac")[0] == 0
    collection = pystac.Collection.from_file(next((tmp_path / "out").rglob("collection.json")))
    assert {item.datetime.isoformat() for item in collection.get_items(recursive=True)} == {"2024-05-01T10:11:12+00:00"}
    [(first, last)] = collection.extent.temporal.intervals
    assert first == last and first.isoformat() == "2024-05-01T10:11:12+00:00"


@pytest.mark.parametrize(
    ("nodata", "tags", "said"),
    [
        (float("nan"), {"DATE_ACQUIRED": "2019-02-28"}, {"nodata": "nan", "datetime": "2019-02-28"}),
        (0.0, {"SENSING_TIME": "2021-07-09T08:05:59.024Z"}, {"nodata": 0.0, "datetime": "2021-07-09T08:05:59Z"}),
        (-9999.0, {"ACQUISITIONDATETIME": "2024-13-01 10:11:12"}, {"nodata": -9999.0}),
        (-9999.0, {"TIFFTAG_DATETIME": "2024:05:01 10:11:12"}, {"nodata": -9999.0}),  # when a program wrote it
    ],
)
def test_odd_values_are_kept_or_left(tmp_path: Path, nodata: float, tags: dict[str, str], said: dict[str, Any]) -> None:
    with Picture(image(tmp_path / "a.tif", nodata, **tags)) as picture:
        assert picture.about_source() == {"bands": [3, 2, 1], **said}


def test_a_false_time_in_a_prepared_folder_is_named(run: Run, prepared: Path) -> None:
    document = orjson.loads((prepared / "dataset.json").read_bytes())
    next(iter(document["items"].values()))["datetime"] = "soon"
    (prepared / "dataset.json").write_bytes(orjson.dumps(document))
    code, _, err = run("export", prepared, "-f", "coco")
    assert code == 2 and "datetime" in err and "'soon'" in err
