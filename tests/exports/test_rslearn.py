"""rslearn's readers of local files, if it is installed: images, labels and objects of a GeoTIFF export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.geotiff import GeotiffSpec
from tests.exports.stores import write
from tests.exports.test_maps import PLACES, placed

local_files = pytest.importorskip("rslearn.data_sources.local_files", reason="needs rslearn")


@pytest.fixture(params=["EPSG:32640", "EPSG:3857", "EPSG:2264"])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, BuildReader, Path]:
    store = placed(tmp_path / "store", request.param)
    write(store, tmp_path, GeotiffSpec())
    return request.param, store, tmp_path / "geotiff"


def _items(folder: Path, kind: str) -> dict[str, Any]:
    """By name."""
    from rslearn.config import LayerType

    return {item.name: item for item in local_files.LocalFiles(str(folder), layer_type=LayerType(kind)).list_items()}


def test_images_and_labels_are_read_as_rasters(exported: tuple[str, BuildReader, Path]) -> None:
    from rasterio.enums import Resampling
    from rslearn.utils.raster_format import GeotiffRasterFormat
    from upath import UPath

    crs, store, folder = exported
    records = [record for record in store.samples() if record.split == "train"]
    for kind, pixels in (("images", store.image), ("labels", store.mask)):
        part = folder / "train" / kind
        items = _items(part, "raster")
        assert set(items) == {record.stem for record in records}
        for record in records:
            place = items[record.stem].geometry
            assert place.projection.crs.to_string() == crs and place.projection.x_resolution == PLACES[crs][0]
            read = GeotiffRasterFormat().decode_raster(
                UPath(part),
                place.projection,
                tuple(map(int, place.shp.bounds)),
                Resampling.nearest,
                f"{record.stem}.tif",
            )
            assert np.array_equal(np.moveaxis(read.array[:, 0], 0, -1).squeeze(), pixels(record))


def test_objects_are_read_as_vectors(exported: tuple[str, BuildReader, Path], tmp_path: Path) -> None:
    crs, store, folder = exported
    alone = tmp_path / "alone"
    alone.mkdir()
    (folder / f"objects_{crs.replace(':', '_')}.geojson").rename(alone / "objects.geojson")
    [item] = _items(alone, "vector").values()
    assert item.geometry.projection.crs.to_string() == crs
    a, _, left, _, e, top = PLACES[crs]
    record = next(iter(store.samples()))
    whole = shapely.box(left, top + e * record.height, left + a * record.width, top)
    assert item.geometry.shp.intersection(whole).area > 0.2 * whole.area
