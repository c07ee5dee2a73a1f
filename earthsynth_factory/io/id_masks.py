"""Reading PNG id masks that strangers made: the header is weighed before anything is decoded.

A mask may be grey (8 or 16 bit), colour-mapped (the index is the id) or RGB with equal channels (as EarthSynth's
demo control image). Anything else is a picture, and refused with a word on what to do.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL.PngImagePlugin import PngImageFile

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.stored import StoredFile

MAX_PIXELS = 1 << 27
"""Largest mask that is decoded, in pixels of one channel of 8 bits: 11585 × 11585."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""PNG's colour type → channels."""

MAX_BYTES = 1 << 30
"""Largest file that is read, in bytes."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LOW_GREY = {2: 85, 4: 17}
"""Bit depth → the factor by which the decoder stretches grey values to 0–255."""

Ids = npt.NDArray[np.uint16]
"""(H, W) ids as the file holds them."""


def read_ids(path: Path | StoredFile) -> Ids:
    """(H, W) uint16, the ids as stored. Raises SourceError naming the file: missing, huge, damaged or no id mask."""
    data = _load(path) if isinstance(path, Path) else path.read_bytes(MAX_BYTES)
    _weigh(path, data)
    try:
        # Not through Image.open: its pixel limit is a global, ours stands in _weigh.
        with PngImageFile(io.BytesIO(data)) as image:
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise SourceError(f"{path}: damaged PNG ({error}); fetch or write the file again") from error
    if pixels.ndim == 3:
        pixels = _one_channel(pixels, path)
    factor = _LOW_GREY.get(data[24], 1) if data[25] == 0 else 1
    return np.asarray(pixels // factor if factor > 1 else pixels).astype(np.uint16)


def _load(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: {path.stat().st_size} bytes are more than {MAX_BYTES}; cut the mask into tiles")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; the folder is incomplete, fetch the file again") from error


def _weigh(path: Path | StoredFile, data: bytes) -> None:
    """Refuse what is no PNG or would not fit, from the first 26 bytes alone."""
    if data[:8] != _SIGNATURE or data[12:16] != b"IHDR" or len(data) < 33:
        raise SourceError(f"{path}: not a PNG; masks are PNG files of class ids, convert it without loss")
    width, height = struct.unpack(">II", data[16:24])
    if width * height * _CHANNELS.get(data[25], 4) * (2 if data[24] == 16 else 1) > MAX_PIXELS:
        raise SourceError(f"{path}: {width}×{height} pixels are more than {MAX_PIXELS}; cut the mask into tiles")


def _one_channel(pixels: npt.NDArray[np.generic], path: Path | StoredFile) -> npt.NDArray[np.generic]:
    """The shared channel of a grey mask that was stored as (H, W, 2…4); transparency says nothing and is left out."""
    colours = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
    if not (colours == colours[..., :1]).all():
        raise SourceError(f"{path}: a colour picture, not a mask of class ids; convert its colours to ids first")
    return np.asarray(colours[..., 0])
