"""A pixel's size on the ground, from any system, and from files beside the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import calculate_default_transform

from earthsynth_factory.io.georeference import Georeference, beside
from earthsynth_factory.io.pictures import Picture
from tests.io.test_pictures import tif

UTM = CRS.from_epsg(25832)
PLACE = Affine(0.5, 0, 346000, 0, -0.5, 5648000)
FEET = CRS.from_proj4("+proj=utm +zone=32 +ellps=GRS80 +units=us-ft +no_defs")


@pytest.mark.parametrize("code", [3857, 4326, 3035, 2154, 32632])
def test_half_a_metre_is_half_a_metre_in_any_system(code: int) -> None:
    crs = CRS.from_epsg(code)
    bounds = (346000, 5648000 - 256, 346000 + 256, 5648000)
    moved, width, height = calculate_default_transform(UTM, crs, 512, 512, *bounds)
    # rasterio keeps the diagonal's pixels; measured against UTM's own scale there.
    truth = Georeference(UTM, PLACE).metres_per_pixel(512, 512)
    found = Georeference(crs, moved).metres_per_pixel(width, height)
    assert truth == pytest.approx(0.5, rel=2e-3)
    assert found == pytest.approx(0.5, rel=0.3), "of the size that rasterio chose"
    across = found * width * found * height
    assert across == pytest.approx(256 * 256, rel=0.35)


def test_web_mercator_is_not_metres() -> None:
    for latitude in (0, 30, 51, 70):
        y = 6378137 * np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2))
        found = Georeference(CRS.from_epsg(3857), Affine(0.6, 0, 770000, 0, -0.6, y + 30)).metres_per_pixel(100, 100)
        assert found == pytest.approx(0.6 * np.cos(np.radians(latitude)), rel=4e-3)


def test_degrees_feet_and_local_systems() -> None:
    degrees = Georeference(CRS.from_epsg(4326), Affine(1e-5, 0, 7, 0, -1e-5, 51)).metres_per_pixel(100, 100)
    assert degrees == pytest.approx((1e-5 * 111_320 * np.cos(np.radians(51)) + 1e-5 * 111_240) / 2, rel=5e-3)
    scale = 1 / 0.3048006096
    feet = Georeference(FEET, Affine(0.5 * scale, 0, 346000 * scale, 0, -0.5 * scale, 5648000 * scale))
    assert feet.metres_per_pixel(500, 500) == pytest.approx(0.5, rel=2e-3)
    plan = CRS.from_wkt('LOCAL_CS["site",UNIT["foot",0.3048]]')
    assert Georeference(plan, Affine(2, 0, 10, 0, -2, 10)).metres_per_pixel(10, 10) == pytest.approx(0.6096)


@pytest.mark.parametrize(
    ("image", "world"),
    [("a.jpg", "a.jgw"), ("a.jpg", "a.jpgw"), ("a.png", "a.PGW"), ("a.tif", "a.tfw"), ("a.tif", "a.wld")],
)
def test_world_files_with_and_without_a_projection(image: str, world: str, tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / image)
    (tmp_path / world).write_text("0.5\n0\n0\n-0.5\n346000.25\n5647999.75\n")
    with Picture(tmp_path / image) as picture:
        assert picture.metres_per_pixel() == pytest.approx(0.5), "taken for metres"
        found = picture.georeference()
        assert found is not None and found.crs is None and found.transform.almost_equals(PLACE)
    (tmp_path / "a.prj").write_text(UTM.to_wkt(version="WKT1_ESRI"))
    with Picture(tmp_path / image) as picture:
        assert picture.metres_per_pixel() == pytest.approx(0.5, rel=2e-3)


def test_gdals_sidecar_is_read_as_text_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path)
    sidecar = tmp_path / "a.jpg.aux.xml"
    body = f"<SRS>{UTM.to_wkt()}</SRS><GeoTransform>346000, 0.5, 0, 5648000, 0, -0.5</GeoTransform>"
    sidecar.write_text(f"<PAMDataset>{body}</PAMDataset>")
    found = beside(path)
    assert found is not None and found.crs == UTM and found.transform.almost_equals(PLACE)
    for wrong in ("<!DOCTYPE a [<!ENTITY b 'c'>]>", "", "rubbish <"):
        sidecar.write_text(wrong + (f"<PAMDataset>{body}</PAMDataset>" if wrong.startswith("<!") else ""))
        assert beside(path) is None


def test_a_crop_has_its_own_place(tmp_path: Path) -> None:
    path = tif(tmp_path / "x.tif", np.zeros((40, 40, 1), np.uint8), crs=UTM, transform=PLACE)
    with Picture(path) as picture:
        ground = picture.georeference()
    assert ground is not None
    assert ground.at(10, 4).fields() == {"crs": "EPSG:25832", "transform": [0.5, 0.0, 346005.0, 0.0, -0.5, 5647998.0]}


def test_nothing_known_is_nothing_said(tmp_path: Path) -> None:
    with Picture(tif(tmp_path / "x.tif", np.zeros((4, 4, 1), np.uint8))) as picture:
        assert picture.metres_per_pixel() is None and picture.georeference() is None
    assert Georeference(None, Affine(1e-5, 0, 7, 0, -1e-5, 51)).metres_per_pixel(9, 9) is None, "degrees, it seems"
