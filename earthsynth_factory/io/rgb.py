"""Reading whole RGB images that strangers made, within bounds. Larger scenes are read in bands (`pictures`)."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.pictures import Picture
from earthsynth_factory.io.stored import StoredFile

MAX_PIXELS = 1 << 26
"""Largest image that is decoded, in pixels: 8192 × 8192."""

MAX_BYTES = 1 << 29

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def decode_rgb(data: bytes, path: Path) -> npt.NDArray[np.uint8]:
    """RGB uint8 (H, W, 3) of a file whose bytes are `data`: whatever `Picture` reads, of 8 bits.

    Raises SourceError if it is no image, a damaged one, one of more bits or a larger one than `MAX_PIXELS`.
    """
    with Picture(path) as picture:
        height, width = picture.shape
        if width * height > MAX_PIXELS:
            raise SourceError(f"{path}: {width}×{height} pixels are more than {MAX_PIXELS}; cut it into tiles")
        if picture.dtype != "uint8":
            raise SourceError(
                f"{path}: {picture.dtype} pixels; `earthsynth-factory prepare … --stretch p2-98` makes 8 bits of them"
            )
        if not picture.plain:
            return picture.rgb(0, height)
    return _decoded(data, path)  # several times as fast


def _decoded(data: bytes, path: Path | StoredFile) -> npt.NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SourceError(f"{path}: a damaged image; fetch or write the file again")
    return np.ascontiguousarray(pixels[..., ::-1])


def read_bytes(path: Path) -> bytes:
    """The file. Raises SourceError if it cannot be read or is beyond `MAX_BYTES`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: {path.stat().st_size} bytes are more than {MAX_BYTES}; cut it into tiles")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; the dataset is incomplete") from error


def read_rgb(file: Path | StoredFile) -> npt.NDArray[np.uint8]:
    """RGB uint8 (H, W, 3) of a file; raises as `read_bytes` and `decode_rgb`. In a tar it is to be a PNG of ours."""
    if isinstance(file, Path) or file.member is None:
        path = file if isinstance(file, Path) else file.path
        return decode_rgb(read_bytes(path), path)
    data = file.read_bytes(MAX_BYTES)
    if data[:8] != _PNG or data[12:16] != b"IHDR" or data[24:26] != b"\x08\x02" or data[-8:-4] != b"IEND":
        raise SourceError(f"{file}: no PNG of three channels of 8 bits, or cut short")
    width, height = struct.unpack(">II", data[16:24])
    if width * height > MAX_PIXELS:
        raise SourceError(f"{file}: {width}×{height} pixels are more than {MAX_PIXELS}")
    return _decoded(data, file)
