"""Small files of strangers: regular ones alone, and no more of them than they may hold."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO

MAX_RECORD = 1 << 24
"""Largest record of ours that is one document, in bytes."""

MAX_LINE = 1 << 25
"""Longest line of a journal: an image with all objects that it can have."""


def open_regular(path: Path) -> BufferedReader:
    """The file, opened for reading. Raises ValueError if it is a pipe or a device, which never end; OSError."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise ValueError("no regular file")
    return os.fdopen(handle, "rb")


def read_bounded(path: Path, most: int = MAX_RECORD) -> bytes:
    """All of a file. Raises ValueError if it is larger than `most` bytes or no regular file; OSError."""
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"larger than {most} bytes")
    return data


def bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines, newlines included. Raises ValueError for one that is too long, such as a file of nothing but zeros."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise ValueError(f"a line longer than {MAX_LINE} bytes")
        yield line
