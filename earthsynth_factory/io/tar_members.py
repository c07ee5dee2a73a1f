"""Members of an uncompressed tar as we write them: plain files under plain names, without owners or times (POSIX ustar).

A header says nothing but name and size, so that it can be made again and compared: a link, another name or another size in
its place is seen at once.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass

BLOCK = 512
"""Headers are one block, contents are filled up to whole ones, in bytes."""

END = bytes(2 * BLOCK)
"""What a tar ends with."""

MAX_MEMBER = 1 << 30
"""Largest member that is read or written, in bytes."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """Where a file lies in a tar. start: of its header; size: of its contents; both in bytes."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + extent(self.size)


def extent(size: int) -> int:
    """Bytes that a member of this size takes, header and filling included.

    >>> extent(1), extent(512), extent(513)
    (1024, 1024, 1536)
    """
    return BLOCK + -(-size // BLOCK) * BLOCK


def header(name: str, size: int) -> bytes:
    """The one header of a file of this name and size that we write or accept."""
    found = tarfile.TarInfo(name)
    found.size = size
    return found.tobuf(tarfile.USTAR_FORMAT)


def packed(name: str, data: bytes) -> bytes:
    """A whole member: header, contents, filling."""
    return b"".join([header(name, len(data)), data, bytes(-len(data) % BLOCK)])


def parse_header(block: bytes) -> tuple[str, int] | None:
    """Name and size of what a header of ours heads; None if it is none of ours."""
    try:
        found = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        is_ours = 0 <= found.size <= MAX_MEMBER and block == header(found.name, found.size)
    except (tarfile.HeaderError, ValueError):
        return None
    return (found.name, found.size) if is_ours else None
