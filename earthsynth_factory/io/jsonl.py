"""Files of one record a line that a kill cannot spoil: a last line without its newline was never written.

A line is recorded after what it speaks of is on the disk.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import disk_error
from earthsynth_factory.io.bounded import bounded_lines, open_regular

Record = TypeVar("Record")


def whole_lines(path: Path) -> Iterator[bytes]:
    """The lines, newlines included, without a torn last one; none if there is no file. Raises StoreError if
    one is too long."""
    if path.is_file():
        with open_regular(path) as file:
            try:
                yield from (line for line in bounded_lines(file) if line.endswith(b"\n"))
            except ValueError as error:
                raise StoreError(f"{path}: {error}; it is no journal of ours, move it away") from error


def unmarked(line: bytes) -> bytes:
    """The line without the byte order mark that some editors write before the first one."""
    return line.removeprefix(codecs.BOM_UTF8)


def placed_records(path: Path, parse: Callable[[bytes], Record], remedy: str) -> Iterator[tuple[int, Record]]:
    """Where each whole line begins, in bytes, and what it says. Raises StoreError naming file, line and `remedy`."""
    start = 0
    for number, line in enumerate(whole_lines(path), start=1):
        try:
            yield start, parse(line)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}:{number}: damaged line ({error}); {remedy}") from error
        start += len(line)


def records(path: Path, parse: Callable[[bytes], Record], remedy: str) -> Iterator[Record]:
    """As `placed_records`, without the places."""
    return (record for _, record in placed_records(path, parse, remedy))


def open_to_append(path: Path) -> IO[bytes]:
    """The file, made if it is missing, without a torn last line; never through a link. Raises DiskError,
    StoreError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(path, flags, 0o666), "ab")
        whole = sum(map(len, whole_lines(path)))
        if os.fstat(file.fileno()).st_size > whole:
            file.truncate(whole)
            file.seek(0, os.SEEK_END)
        return file
    except OSError as error:
        raise disk_error(path, error) from error


def append_line(file: IO[bytes], line: bytes, path: Path) -> None:
    """Append a journal line and see it onto the disk. Raises DiskError if the disk refuses."""
    try:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(path, error) from error
