"""Files are written whole or not at all, and PNGs are what other readers take them for."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import DiskError, StoreError
from earthsynth_factory.io.atomic import put_file, write_bytes
from earthsynth_factory.io.jsonl import open_to_append
from earthsynth_factory.io.png import encode_mask, encode_png

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(SHAPES, st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_images_and_maps_come_back_exactly(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    ids = rng.integers(0, 65536, shape).astype(np.uint16)
    for pixels in (image, ids, image[..., 0].copy()):
        data = encode_png(pixels)
        assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(data))), pixels)
        other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(other[..., ::-1] if pixels.ndim == 3 else other, pixels)


def test_masks_hold_ids_and_show_colors() -> None:
    mask = np.arange(69, dtype=np.uint8).reshape(3, 23)
    image = PIL.Image.open(io.BytesIO(encode_mask(mask, earthsynth())))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), mask)
    assert image.convert("RGB").getpixel((2, 1)) == earthsynth()[25].color


def test_a_write_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENAMETOOLONG, errno.ENOTDIR])
def test_what_no_waiting_mends_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="or choose another folder") as caught:
        write_bytes(tmp_path / "file", b"new")
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"mine")
    (tmp_path / "link").symlink_to(theirs)
    with pytest.raises(StoreError, match="is a link"):
        open_to_append(tmp_path / "link")
    write_bytes(tmp_path / "link", b"new")
    assert (theirs.read_bytes(), (tmp_path / "link").read_bytes()) == (b"mine", b"new")
    put_file(tmp_path / "link", theirs, link=True)
    put_file(theirs, tmp_path / "link", link=True)  # the same file already
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "theirs"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "Input/output"),
    ],
)
def test_a_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def fail(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskError, match=remedy) as caught:
        write_bytes(path, b"new")
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
