"""Whole pictures as training reads them: what `prepare` and `filter` read, and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.rgb import read_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "webp", "ppm"])
def test_every_format_that_prepare_reads(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"one.{suffix}"
    PIL.Image.fromarray(PIXELS).save(path, **({"lossless": True} if suffix == "webp" else {}))
    found = read_rgb(path)
    assert found.shape == (24, 40, 3) and found.dtype == np.uint8
    with PIL.Image.open(path) as image:
        assert np.array_equal(found, image.convert("RGB"))


@pytest.mark.parametrize(("suffix", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32)])
def test_more_than_8_bits_are_refused_with_the_remedy(tmp_path: Path, suffix: str, dtype: type) -> None:
    """They would come as nearly black: values of sensors end far below the format's own end."""
    path = tmp_path / f"sensor.{suffix}"
    PIL.Image.fromarray(np.full((8, 8), 900, dtype)).save(path)
    with pytest.raises(
        SourceError, match=r"sensor\.\w+: u?int\d+ pixels; `earthsynth-factory prepare … --stretch p2-98`"
    ):
        read_rgb(path)


def test_pictures_stand_upright(tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "webp"):
        path = tmp_path / f"turned.{suffix}"
        image = PIL.Image.fromarray(PIXELS)
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
        assert read_rgb(path).shape == (40, 24, 3), suffix


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(b"nonsense")
    with pytest.raises(SourceError, match=r"one\.png: not a readable image"):
        read_rgb(tmp_path / "one.png")
    with pytest.raises(SourceError, match="the dataset is incomplete"):
        read_rgb(tmp_path / "two.png")
