"""Ids of any width, colours that are nearly those of a table, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from earthsynth_factory.domain.taxonomy import IGNORE
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.label_rasters import BETWEEN, NEAR, TRANSPARENT, colour_raster, id_raster
from tests.io.test_pictures import tif

IDS = np.random.default_rng(1).integers(0, 3, (24, 30))
TABLE = {0: 0, 1: 8, 2: 4}
MEANT = np.array([0, 8, 4], np.uint8)[IDS]

RED, BLUE = 0xFF0000, 0x0000FF


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"])
def test_ids_are_read_whatever_holds_them(dtype: str, tmp_path: Path) -> None:
    path = tif(tmp_path / "x.tif", IDS[..., None].astype(dtype))
    np.testing.assert_array_equal(id_raster(path, TABLE).rows(0, 24), MEANT)
    np.testing.assert_array_equal(id_raster(path, TABLE).rows(3, 9, 4, 20), MEANT[3:9, 4:20])


def test_large_ids_no_data_and_not_a_number(tmp_path: Path) -> None:
    values = np.where(IDS == 2, 1000, IDS).astype(np.float32)
    values[0, 0], values[0, 1] = -9999, np.nan
    found = id_raster(tif(tmp_path / "x.tif", values[..., None], nodata=-9999), {0: 0, 1: 8, 1000: 4}).rows(0, 24)
    assert found[0, 0] == found[0, 1] == IGNORE
    np.testing.assert_array_equal(found[1:], MEANT[1:])
    named = id_raster(tif(tmp_path / "y.tif", IDS[..., None].astype(np.uint8), nodata=0), TABLE).rows(0, 24)
    np.testing.assert_array_equal(named, MEANT), "a no-data value that the table names keeps its name"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, r"ids \[7\] stand for no class; give them in --map \(`7: name`\)"),
        (0.5, "ids are whole numbers"),
        (-1, r"ids \[-1\]"),
    ],
)
def test_other_values_are_refused_by_value(value: float, words: str, tmp_path: Path) -> None:
    values = IDS[..., None].astype(np.float32)
    values[5, 5] = value
    with pytest.raises(SourceError, match=words):
        id_raster(tif(tmp_path / "x.tif", values), TABLE).rows(0, 24)


def test_ids_stored_with_loss_are_refused_with_the_reason(tmp_path: Path) -> None:
    PIL.Image.fromarray(IDS.astype(np.uint8)).save(tmp_path / "x.jpg")
    PIL.Image.fromarray(np.repeat(IDS.astype(np.uint8)[..., None], 3, axis=2)).save(tmp_path / "x.webp", quality=60)
    tif(tmp_path / "x.tif", np.zeros((24, 30, 1), np.uint8), compress="JPEG")
    for name in ("x.jpg", "x.webp", "x.tif"):
        with pytest.raises(SourceError, match="with loss, which changes values"):
            id_raster(tmp_path / name, TABLE)


def colours(path: Path, *pixels: tuple[int, ...]) -> Path:
    PIL.Image.fromarray(np.array([pixels], np.uint8).repeat(3, axis=0)).save(path)
    return path


def test_colours_near_a_class_are_its_and_those_between_are_ignored(tmp_path: Path) -> None:
    path = colours(tmp_path / "x.png", (255, 0, 0), (240, 14, 3), (128, 0, 127), (0, 0, 255), (30, 0, 251))
    remarks: Counter[str] = Counter()
    found = colour_raster(path, {RED: 8, BLUE: 4}, remarks)
    np.testing.assert_array_equal(found.rows(0, 3), [[8, 8, IGNORE, 4, 4]] * 3)
    found.rows(1, 3)
    assert remarks == {NEAR: 6, BETWEEN: 3}, "rows that are read twice count once"


def test_a_colour_that_nobody_named_is_refused(tmp_path: Path) -> None:
    green = np.zeros((24, 30, 3), np.uint8)
    green[..., 0] = 255
    green[:5, :5] = 0, 255, 0
    PIL.Image.fromarray(green).save(tmp_path / "x.png")
    with pytest.raises(SourceError, match="colours #00FF00 stand for no class; give them in --map"):
        colour_raster(tmp_path / "x.png", {RED: 8, BLUE: 4}).rows(0, 24)
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype(np.uint8)).save(
        tmp_path / "y.png"
    )
    with pytest.raises(SourceError, match="stand for no class"):
        colour_raster(tmp_path / "y.png", {RED: 8, BLUE: 4}).rows(0, 90)


def test_transparent_pixels_of_a_mask_are_background(tmp_path: Path) -> None:
    path = colours(tmp_path / "x.png", (255, 0, 0, 255), (255, 255, 255, 0), (0, 0, 255, 255))
    remarks: Counter[str] = Counter()
    np.testing.assert_array_equal(colour_raster(path, {RED: 8, BLUE: 4}, remarks).rows(0, 3), [[8, 0, 4]] * 3)
    assert remarks == {TRANSPARENT: 3}
