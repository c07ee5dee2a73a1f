"""Writes so that a kill loses nothing that was recorded: temporary file, fsync, rename, then the journal line."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import DiskError

_PNG = b"\x89PNG\r\n\x1a\n"


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Put `data` at `path` whole or not at all. Raises DiskError where the disk refuses.

    durable: wait until the disk has it. Without, the caller flushes many files at once before it records them.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with _made(temporary) as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(path, error) from error


def _made(path: Path) -> IO[bytes]:
    """The file opened for writing, its folder made where it is missing."""
    try:
        return path.open("wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


def write_json(path: Path, data: object) -> None:
    """As `write_bytes`, indented JSON with sorted keys."""
    write_bytes(path, orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def append_line(file: IO[bytes], line: bytes, path: Path) -> None:
    """Append a journal line and see it onto the disk. Raises DiskError where the disk refuses."""
    try:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> DiskError:
    """The error a user sees when writing fails, with the remedy that fits."""
    remedies = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.EACCES: "no permission to write there; choose another folder",
    }
    remedy = remedies.get(error.errno or 0, error.strerror or str(error))
    return DiskError(f"{path}: {remedy}, then run the same command again: it goes on where it stopped")


def encode_png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], palette: list[int] | None = None) -> bytes:
    """PNG of an (H, W, 3) uint8 image, an (H, W) uint8 mask (colour-mapped with `palette`) or an (H, W) uint16 map.

    Lossless and a pure function of the pixels. Rows are filtered by the one above; imagery is then entropy-coded alone
    (`Z_HUFFMAN_ONLY`), some eight times faster than level 6 and no larger, masks by runs (`Z_RLE`), three times faster.
    """
    color_type = 2 if pixels.ndim == 3 else 3 if palette is not None else 0
    depth = 16 if pixels.dtype == np.uint16 else 8
    samples = np.ascontiguousarray(pixels.astype(">u2").view(np.uint8) if depth == 16 else pixels)
    rows = samples.reshape(pixels.shape[0], -1)
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2  # PNG's filter type Up
    filtered[:, 1:] = np.diff(rows, axis=0, prepend=np.uint8(0))
    packer = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY if pixels.ndim == 3 else zlib.Z_RLE)
    data = packer.compress(filtered.tobytes()) + packer.flush()
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, color_type, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    if palette is not None:
        chunks.append(_chunk(b"PLTE", bytes(palette)))
    return b"".join([_PNG, *chunks, _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def encode_mask(mask: npt.NDArray[np.uint8], taxonomy: Taxonomy) -> bytes:
    """A class-id mask as 8-bit palette PNG: readers get the ids, viewers the colours."""
    return encode_png(mask, taxonomy.palette())


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
