"""Files of many kinds become the same picture: any suffix, turned, of 16 bits, of four bands, with holes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import rasterio
from rasterio.enums import ColorInterp

from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.io.pictures import Picture, Rendering
from earthsynth_factory.io.stretch import Stretch, StretchRule

SCENE = np.random.default_rng(3).integers(0, 255, (40, 56, 3)).astype(np.uint8)


def tif(path: Path, bands: np.ndarray, colours: list[str] | None = None, **profile: Any) -> Path:
    """(H, W, n) as a GeoTIFF."""
    height, width, count = bands.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype=bands.dtype, **profile
    ) as file:
        file.write(np.moveaxis(bands, -1, 0))
        if colours:
            file.colorinterp = [ColorInterp[name] for name in colours]
    return path


def seen(path: Path, look: Rendering | None = None) -> np.ndarray:
    with Picture(path, look) as picture:
        return picture.rgb(0, picture.shape[0])


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "gif", "ppm", "tga", "pcx", "jp2"])
def test_any_format_is_read_by_its_content(suffix: str, tmp_path: Path) -> None:
    grey = np.repeat(SCENE[..., :1], 3, axis=2)
    path = tmp_path / f"x.{suffix}"
    PIL.Image.fromarray(grey if suffix == "gif" else SCENE).save(path, lossless=True)
    np.testing.assert_array_equal(seen(path), grey if suffix == "gif" else SCENE)
    other = path.rename(tmp_path / "named.png")
    np.testing.assert_array_equal(seen(other), grey if suffix == "gif" else SCENE)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_a_picture_as_pillow_does(turn: int, tmp_path: Path) -> None:
    tags = PIL.Image.Exif()
    tags[0x0112] = turn
    path = tmp_path / "x.jpg"
    PIL.Image.fromarray(SCENE).save(path, exif=tags)
    with Picture(path) as picture:
        picture.leave_as_stored()
        stored = picture.rgb(0, 40)
    image = PIL.Image.fromarray(stored)
    image.getexif()[0x0112] = turn
    upright = np.asarray(PIL.ImageOps.exif_transpose(image))
    with Picture(path) as picture:
        assert picture.shape == upright.shape[:2]
        np.testing.assert_array_equal(picture.rgb(0, picture.shape[0]), upright)
        np.testing.assert_array_equal(picture.rgb(5, 9, 3, 20), upright[5:9, 3:20])
        assert picture.plain == (turn == 1)


def test_windows_and_bands_are_parts_of_the_whole(tmp_path: Path) -> None:
    path = tif(tmp_path / "x.tif", SCENE, tiled=True, blockxsize=16, blockysize=16)
    with Picture(path) as picture:
        for top, bottom, left, right in ((0, 10, 0, 56), (4, 20, 0, 56), (20, 40, 8, 30), (39, 40, 55, 56)):
            np.testing.assert_array_equal(picture.rgb(top, bottom, left, right), SCENE[top:bottom, left:right])


def test_sixteen_bits_ask_for_a_stretch_and_get_it(tmp_path: Path) -> None:
    deep = (SCENE.astype(np.uint16) << 4) + 100
    path = tif(tmp_path / "x.tif", deep)
    with pytest.raises(SourceError, match="uint16 pixels; say how they become 8 bits, as --stretch"):
        seen(path)
    stretch = StretchRule.of("100, 4180").settle([])
    np.testing.assert_allclose(seen(path, Rendering(stretch)), SCENE, atol=1)
    with Picture(path) as picture:
        least = StretchRule.of("min-max").settle([picture.values()])
    assert least.low == tuple(deep.min(axis=(0, 1)).tolist()) and least.high == tuple(deep.max(axis=(0, 1)).tolist())


def test_percentiles_pass_over_no_data_and_what_is_no_number(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 40 * 56, dtype=np.float32).reshape(40, 56, 1)
    values[:10], values[10:12] = -9999, np.nan
    path = tif(tmp_path / "x.tif", values, nodata=-9999)
    with Picture(path) as picture:
        assert picture.values().min() >= 0
        valid = picture.valid(0, 40)
        assert valid is not None and not valid[:12].any() and valid[12:].all()
        stretch = StretchRule.of("p2-98").settle([picture.values()])
    assert Stretch.parse(stretch.fields()) == stretch
    assert seen(path, Rendering(stretch))[:12].max() == 0


@pytest.mark.parametrize("text", ["p98-2", "p2", "2,1", "p-1-50", "p0-101", "bright", "1,2,3"])
def test_a_stretch_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--stretch"):
        StretchRule.of(text)


def test_bands_are_those_that_the_file_calls_red_green_blue(tmp_path: Path) -> None:
    infrared = np.full((40, 56, 1), 9, np.uint8)
    planet = np.concatenate([SCENE[..., ::-1], infrared], axis=2)
    named = tif(tmp_path / "a.tif", planet, ["blue", "green", "red", "undefined"], photometric="MINISBLACK")
    np.testing.assert_array_equal(seen(named), SCENE)
    unnamed = tif(tmp_path / "b.tif", planet, photometric="MINISBLACK")
    with Picture(unnamed) as picture:
        assert not picture.named_bands
    np.testing.assert_array_equal(seen(unnamed, Rendering(bands=(3, 2, 1))), SCENE)
    with pytest.raises(SourceError, match="has 4 bands; --bands names others"):
        seen(unnamed, Rendering(bands=(5, 2, 1)))
    with rasterio.open(unnamed, "r+") as file:
        file.descriptions = ("Blue", "Green", "Red", "NIR")
    np.testing.assert_array_equal(seen(unnamed), SCENE)


def test_what_is_transparent_or_no_data_is_no_part_of_the_picture(tmp_path: Path) -> None:
    alpha = np.where(np.arange(56) < 20, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    clear = tif(tmp_path / "a.tif", np.dstack([SCENE, alpha]), ["red", "green", "blue", "alpha"])
    black = SCENE.clip(1)
    black[:, :20] = 0
    for path in (clear, tif(tmp_path / "b.tif", black, nodata=0)):
        with Picture(path) as picture:
            np.testing.assert_array_equal(picture.valid(0, 40), np.broadcast_to(np.arange(56) >= 20, (40, 56)))
    with Picture(tif(tmp_path / "c.tif", SCENE)) as picture:
        assert picture.valid(0, 40) is None


def test_a_photo_with_a_video_behind_it_is_whole_and_a_cut_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    PIL.Image.fromarray(SCENE).save(path)
    data = path.read_bytes()
    path.write_bytes(data + b"\0\0\0\x18ftypmp42" + b"\x11" * 40_000)
    assert seen(path).shape == SCENE.shape
    thumbnail = PIL.Image.Exif()
    thumbnail[0x010E] = "\xff\xd9 in a comment is no end"
    PIL.Image.fromarray(SCENE).save(path, exif=thumbnail)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\x11" * 40_000)
    with pytest.raises(SourceError, match="cut short"):
        seen(path)


def test_a_very_wide_scene_is_opened_and_read_by_windows(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=30_000, width=30_000, count=1, dtype="uint8", tiled=True, sparse_ok=True
    ) as file:
        file.write(np.full((1, 16, 16), 7, np.uint8), window=rasterio.windows.Window(29_984, 29_984, 16, 16))
    with Picture(path) as picture:
        assert (picture.rgb(29_984, 30_000, 29_984, 30_000) == 7).all()
        with pytest.raises(SourceError, match="too many at once; use --crop"):
            picture.rgb(0, 30_000)
