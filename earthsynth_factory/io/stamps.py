"""Whether a file is the one that was read before: its size and its time of change."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """size: bytes. modified: nanoseconds."""

    size: int
    modified: int

    def __str__(self) -> str:
        return f"{self.size} {self.modified}"


def stamp(path: Path) -> Stamp:
    """Raises OSError if there is no such file."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns)


def stamp_or_none(path: Path) -> Stamp | None:
    """None if `path` is no file."""
    return stamp(path) if path.is_file() else None
