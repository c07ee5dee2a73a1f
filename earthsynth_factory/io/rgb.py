"""Reading whole RGB images that strangers made, within bounds. Larger scenes are read in bands (`pictures`)."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from earthsynth_factory.errors import SourceError

MAX_PIXELS = 1 << 26
"""Largest image that is decoded, in pixels: 8192 × 8192."""

MAX_BYTES = 1 << 29
FORMATS = ("PNG", "JPEG", "TIFF")


def decode_rgb(data: bytes, path: Path) -> npt.NDArray[np.uint8]:
    """RGB uint8 (H, W, 3). Raises SourceError where the bytes are no image or a larger one than `MAX_PIXELS`."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as header:
            width, height = header.size
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise SourceError(f"{path}: no readable image ({error}); write it as PNG or JPEG") from error
    if width * height > MAX_PIXELS:
        raise SourceError(f"{path}: {width}×{height} pixels are more than {MAX_PIXELS}; cut it into tiles")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SourceError(f"{path}: a damaged image; fetch or write the file again")
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8, copy=False)


def read_bytes(path: Path) -> bytes:
    """The file. Raises SourceError where it cannot be read or is beyond `MAX_BYTES`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: {path.stat().st_size} bytes are more than {MAX_BYTES}; cut it into tiles")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; the dataset is incomplete") from error


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """RGB uint8 (H, W, 3) of a file; raises as `read_bytes` and `decode_rgb`."""
    return decode_rgb(read_bytes(path), path)
