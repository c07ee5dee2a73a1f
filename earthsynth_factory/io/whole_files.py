"""Whether a PNG or JPEG is whole: of one that was cut short, decoders only fill in black or grey.

The end mark is looked for in the last bytes, where it mostly is; only if something else follows it (a phone's video, a
writer's notes) the file is walked through.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from earthsynth_factory.errors import SourceError

TAIL = 1 << 14
"""Last bytes of a file in which its end mark is looked for first."""

_PIECE = 1 << 20

_ENDS = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}


def check_whole(path: Path, head: bytes) -> None:
    """head: the file's first bytes. Raises SourceError if a PNG or JPEG does not come to its end."""
    mark = next((end for magic, end in _ENDS.items() if head.startswith(magic)), None)
    if mark is None:
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        if mark in file.read():
            return
        if not (_png_ends(file) if mark == b"IEND" else _jpeg_ends(file)):
            raise SourceError(f"{path}: damaged or cut short; fetch the file again")


def is_shallow_png(path: Path) -> bool:
    """Whether the file is a PNG of at most eight bits a channel."""
    try:
        with path.open("rb") as file:
            head = file.read(25)
    except OSError:
        return False
    return head.startswith(b"\x89PNG") and head[24:] <= b"\x08"


def is_png_without(chunk: bytes, path: Path) -> bool:
    """Whether the file is a PNG that has no such chunk (`eXIf` …) before its pixels, where Pillow looks for them."""
    with path.open("rb") as file:
        if file.read(4) != b"\x89PNG":
            return False
        for name in _png_chunks(file):
            if name in (chunk, b"IDAT"):
                return name != chunk
    return True


def _png_ends(file: IO[bytes]) -> bool:
    """Whether its chunks lead to the last one."""
    return b"IEND" in _png_chunks(file)


def _png_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The names of its chunks, each of which has its length before it."""
    file.seek(8)
    while len(header := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", header)
        yield name
        file.seek(length + 4, 1)


def _jpeg_ends(file: IO[bytes]) -> bool:
    """Whether the end mark follows in what is compressed: there it cannot stand for anything else, as in a thumbnail."""
    file.seek(2)
    while len(header := file.read(4)) == 4 and header[0] == 0xFF:
        length = struct.unpack(">H", header[2:])[0]
        file.seek(length - 2, 1)
        if header[1] == 0xDA:
            return _holds(file, b"\xff\xd9")
    return False


def _holds(file: IO[bytes], mark: bytes) -> bool:
    before = b""
    while piece := file.read(_PIECE):
        if mark in before + piece:
            return True
        before = piece[-1:]
    return False
