"""Reading image and mask files that strangers made, and bringing both to the training size by one geometry."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.id_masks import read_ids

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


def read_classes(path: Path, lut: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Category ids uint8 (H, W): the file's ids by way of `lut` (256,)."""
    return lut[np.minimum(read_ids(path), 255)]


def fit_image(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The largest centred square of (H, W, 3) at (size, size, 3): area averaging, cubic where it must grow."""
    square = image[centred_square(*image.shape[:2])]
    method = cv2.INTER_AREA if len(square) >= size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=method), np.uint8)


def fit_mask(mask: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The same square of (H, W) at (size, size): nearest only, so that no class appears that was not there."""
    square = mask[centred_square(*mask.shape)]
    return np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def centred_square(height: int, width: int) -> tuple[slice, slice]:
    """The place of the largest centred square: the one geometry of image and mask."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return slice(top, top + side), slice(left, left + side)
