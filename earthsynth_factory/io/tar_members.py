"""Members of an uncompressed tar as we write them: plain files under plain names, without owners or times (POSIX ustar).

A header says nothing but name and size, so that it can be made again and compared: a link, another name or another size in
its place is seen at once.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 512
"""Headers are one block, contents are filled up to whole ones, in bytes."""

END = bytes(2 * BLOCK)
"""What a tar ends with."""

MAX_MEMBER = 1 << 30
"""Largest member that is read or written, in bytes."""

# The fields of a header, in their order (POSIX ustar).
_NAME = 100  # bytes of it
_OWNERS = b"0000644\0" + b"0000000\0" * 2  # mode, user, group
_SIZE = slice(124, 135)  # in octal digits
_TIME = b"\0" + b"00000000000\0"
_REST = (
    b"\0 " + b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(247)
)  # end of the sum, kind, no link, no names, no device
_TOTAL = sum(_OWNERS + _TIME + _REST) + 7 * ord(
    " "
)  # the sum's own eight bytes count as spaces, one of which is in _REST


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
    """The one header of a file of this name and size that we write or accept: as Python's `tarfile` makes it, in a
    hundredth of its time. Raises ValueError if the name is not plain ASCII of 1 to 100 characters or the size is none.
    """
    named, sized = name.encode("ascii"), b"%011o" % size
    if not 0 < len(named) <= _NAME or not 0 <= size <= MAX_MEMBER:
        raise ValueError(f"{name!r} of {size} bytes cannot be a member")
    total = b"%06o" % (_TOTAL + sum(named) + sum(sized))
    return b"".join([named.ljust(_NAME, b"\0"), _OWNERS, sized, _TIME, total, _REST])


def packed(name: str, data: bytes) -> bytes:
    """A whole member: header, contents, filling."""
    return b"".join([header(name, len(data)), data, bytes(-len(data) % BLOCK)])


def parse_header(block: bytes) -> tuple[str, int] | None:
    """Name and size of what a header of ours heads; None if it is none of ours."""
    try:
        name, size = block[:_NAME].rstrip(b"\0").decode("ascii"), int(block[_SIZE], 8)
        is_ours = block == header(name, size)
    except ValueError:
        return None
    return (name, size) if is_ours else None
