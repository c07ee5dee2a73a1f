"""Damaged vector files are read or refused, in every format and by all who read them; layers meet in one system."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import shapely

from earthsynth_factory.conditions.vector.layers import read_layers
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.vector_layers import read_layer
from earthsynth_factory.io.vector_files import read_vector_layers

pyogrio = pytest.importorskip("pyogrio", reason="vector files need pyogrio")

DRIVERS = {"gpkg": "GPKG", "shp": "ESRI Shapefile", "fgb": "FlatGeobuf", "geojson": "GeoJSON"}
VARIANTS = 50


def written(path: Path, crs: str = "EPSG:4326", layer: str = "roofs", metres: float = 1e-3) -> Path:
    """Sixty squares east of one another."""
    squares = [shapely.box(9 + n * metres, 48, 9 + (n + 0.5) * metres, 48 + metres / 2) for n in range(60)]
    columns = [np.array(["building"] * 60, object), np.arange(60)]
    options = {"layer": layer, "geometry_type": "Polygon", "append": path.exists()}
    shapes, driver = shapely.to_wkb(np.array(squares, object)), DRIVERS[path.suffix[1:]]
    pyogrio.raw.write(path, shapes, columns, ["class", "n"], crs=crs, driver=driver, **options)
    return path


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut off, bits flipped, a stretch of zeros, or nonsense for a head."""
    found, kind = bytearray(data), chance.choice(("cut", "flip", "zeros", "head"))
    if kind == "cut":
        return bytes(found[: chance.randrange(len(found))])
    if kind == "flip":
        for _ in range(chance.choice((1, 8, 64))):
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    elif kind == "zeros":
        place = chance.randrange(len(found))
        found[place : place + chance.choice((4, 64, 512))] = bytes(4)
    else:
        for _ in range(8):
            found[chance.randrange(min(len(found), 256))] = chance.randrange(256)
    return bytes(found)


@pytest.mark.parametrize("suffix", DRIVERS)
def test_damage_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    written(tmp_path / f"whole.{suffix}")
    parts, refused = sorted(tmp_path.iterdir()), 0
    for number in range(VARIANTS):
        chance = random.Random(f"{suffix} {number}")
        part, folder = chance.choice(parts), tmp_path / str(number)
        folder.mkdir()
        for one in parts:
            data = one.read_bytes()
            (folder / one.name).write_bytes(damaged(data, chance) if one == part else data)
        path = folder / f"whole.{suffix}"
        for read in (lambda path: read_layer(path, earthsynth()), lambda path: read_layers(path, ("n",), None, None)):
            try:
                read(path)
            except SourceError as error:
                refused += 1
                assert str(path) in str(error)
    assert 0 < refused < 2 * VARIANTS


def test_what_ogr_warns_of_is_said_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "roofs.gpkg")
    data = bytearray(path.read_bytes())
    data[68] ^= 1  # the mark of the application that wrote it
    path.write_bytes(data)
    [layer] = read_vector_layers(path)
    assert len(layer.shapes) == 60
    assert [text for text in caplog.messages if text.startswith("roofs.gpkg: ") and str(tmp_path) not in text]


def test_layers_of_two_systems_meet_in_the_first(tmp_path: Path) -> None:
    path = written(tmp_path / "both.gpkg", "EPSG:4326")
    metric = [shapely.box(1_002_000, 6_106_000, 1_002_100, 6_106_100)]  # 9.0 degrees east, 48 north
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(metric, object)), [np.array(["building"], object)], ["class"], crs="EPSG:3857",
        geometry_type="Polygon", driver="GPKG", layer="metric", append=True,
    )  # fmt: skip
    layer = read_layer(path, earthsynth())
    assert layer.crs is not None and layer.crs.to_epsg() == 4326
    left, bottom, right, top = layer.bounds() or (0, 0, 0, 0)
    assert len(layer.words) == 61
    assert 9 <= left < right < 9.1 and 47.9 < bottom < top < 48.1


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "roofs.gpkg")
    with pytest.raises(SourceError, match="none of the layers asked for; there are: roofs"):
        read_vector_layers(path, frozenset({"streets"}))
