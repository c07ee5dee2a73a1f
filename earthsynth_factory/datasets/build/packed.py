"""A packed shard: one uncompressed tar of its masters in place of three files an image.

    0000000.png  0000000.mask.png  0000000.instances.png  0000001.png  …  __index__

Whatever reads tars reads it; webdataset takes the three of a sample together and skips `__index__`. While a shard is made,
samples are appended as they come, without an index; of two of one slot the later one counts. A committed shard is sealed:
samples ascend, and the last member is the index: a JSON list of [slot, sizes of the three], from which all places follow,
filled up with spaces, its own length in the last 16 bytes. Whatever it says, a file is given out only if the header that it
must have stands before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.io.bounded import open_regular
from earthsynth_factory.io.gates import read_below
from earthsynth_factory.io.stored import member_bytes
from earthsynth_factory.io.tar_members import BLOCK, END, TarMember, extent, header, packed, parse_header

KINDS = ("", ".mask", ".instances")
"""What stands between a sample's stem and `.png`: image, mask, instance map."""

INDEX = "__index__"

MAX_INDEX = 1 << 24
"""Longest index, in bytes; that of the largest shard takes half of it."""

_TRAILER = 16
_NAME = re.compile(r"([0-9]{7})(|\.mask|\.instances)\.png")

Sizes = tuple[int, int, int]


def member_names(stem: str) -> tuple[str, str, str]:
    """Image, mask and instance map of a sample."""
    image, mask, instances = (f"{stem}{kind}.png" for kind in KINDS)
    return image, mask, instances


@dataclass(frozen=True, slots=True)
class PackedSample:
    """Where a sample's files lie. start: of the first one's header, in bytes; sizes: of image, mask and instance map."""

    slot: int
    start: int
    sizes: Sizes

    @property
    def stem(self) -> str:
        """As its record's."""
        return f"{self.slot:07d}"

    @property
    def end(self) -> int:
        return self.start + sum(map(extent, self.sizes))

    @property
    def members(self) -> tuple[TarMember, TarMember, TarMember]:
        """Image, mask and instance map."""
        names, start, found = member_names(self.stem), self.start, []
        for name, size in zip(names, self.sizes, strict=True):
            found.append(TarMember(name, start, size))
            start = found[-1].end
        image, mask, instances = found
        return image, mask, instances


@dataclass(frozen=True)
class PackedIndex:
    """Samples of a tar, ascending. slots: (N,); starts: (N,) of the first header; sizes: (N, 3), in bytes.

    sealed: whether it stands in the tar itself and the tar is whole, so far as its length tells.
    """

    slots: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    sealed: bool

    def find(self, slot: int) -> PackedSample | None:
        """The slot's sample, if the tar has it."""
        at = int(self.slots.searchsorted(slot))
        if at == len(self.slots) or self.slots[at] != slot:
            return None
        image, mask, instances = map(int, self.sizes[at])
        return PackedSample(slot, int(self.starts[at]), (image, mask, instances))

    def __iter__(self) -> Iterator[PackedSample]:
        return (sample for slot in self.slots.tolist() if (sample := self.find(slot)))


def read_index(path: Path, root: Path | None = None) -> PackedIndex:
    """What a tar of ours holds: by its index, or if it has none by its headers up to the first that is none of ours.

    root: the folder that it must lie in, wherever links lead. Raises OSError, ValueError if it is no regular file, and
    SourceError if it lies elsewhere.
    """
    found = path.stat()
    return _read_index(path, root, found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=8)
def _read_index(path: Path, root: Path | None, size: int, *_: int) -> PackedIndex:
    """_: what else changes with the tar, so that it is read again."""
    with open_regular(path if root is None else read_below(path, root)) as file:
        return _sealed_index(file.fileno(), size) or _scanned(file.fileno(), size)


def sealed(path: Path, samples: Sequence[PackedSample]) -> Iterator[bytes]:
    """A sealed tar of these samples of another one, ascending, piece by piece. Raises ValueError if one is not in its place;
    OSError.
    """
    with open_regular(path) as file:
        for sample in samples:
            for member in sample.members:
                yield packed(member.name, member_bytes(file.fileno(), member))
    yield sealing(samples)


def sealing(samples: Sequence[PackedSample]) -> bytes:
    """What a tar of these samples ends with: the index, and the end mark."""
    rows = orjson.dumps([[sample.slot, *sample.sizes] for sample in samples])
    length = -(-(len(rows) + _TRAILER) // BLOCK) * BLOCK
    return packed(INDEX, rows.ljust(length - _TRAILER) + b"%015d\n" % length) + END


def _sealed_index(handle: int, size: int) -> PackedIndex | None:
    """The index that stands in a tar; None if there is none, or it does not fit the tar's size in bytes."""
    trailer = os.pread(handle, _TRAILER + len(END), max(0, size - len(END) - _TRAILER))
    if not re.fullmatch(rb"[0-9]{15}\n\0{1024}", trailer):
        return None
    length = int(trailer[: _TRAILER - 1])
    start = size - len(END) - length - BLOCK
    if not 0 < length <= MAX_INDEX or start < 0:
        return None
    found = os.pread(handle, BLOCK + length, start)
    return _parsed(found[BLOCK:-_TRAILER], start) if found[:BLOCK] == header(INDEX, length) else None


def _parsed(text: bytes, end: int) -> PackedIndex | None:
    """The index in a text, if it is one of samples that take just the first `end` bytes."""
    try:
        rows = np.array(orjson.loads(text) or np.empty((0, 4)), np.float64)
    except (ValueError, TypeError):
        return None
    if rows.ndim != 2 or rows.shape[1] != 4 or not ((rows >= 0) & (rows < 1 << 31) & (rows % 1 == 0)).all():
        return None
    slots, sizes = rows[:, 0].astype(np.int64), rows[:, 1:].astype(np.int64)
    ends = _extents(sizes).sum(axis=1).cumsum()
    if (np.diff(slots) <= 0).any() or (int(ends[-1]) if len(ends) else 0) != end:
        return None
    return PackedIndex(slots, ends - _extents(sizes).sum(axis=1), sizes, True)


def _extents(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return BLOCK + -(-sizes // BLOCK) * BLOCK


def _scanned(handle: int, size: int) -> PackedIndex:
    """The whole samples of a tar without an index; of two of one slot the later."""
    found: dict[int, PackedSample] = {}
    members: list[TarMember] = []
    for member in _headers(handle, size):
        match = _NAME.fullmatch(member.name)
        if match is None or match[2] != KINDS[len(members)]:
            break
        members.append(member)
        if len(members) == len(KINDS):
            if {one.name[:7] for one in members} != {match[1]}:
                break
            image, mask, instances = (one.size for one in members)
            found[int(match[1])] = PackedSample(int(match[1]), members[0].start, (image, mask, instances))
            members = []
    ordered = [found[slot] for slot in sorted(found)]
    return PackedIndex(
        np.array([sample.slot for sample in ordered], np.int64),
        np.array([sample.start for sample in ordered], np.int64),
        np.array([sample.sizes for sample in ordered], np.int64).reshape(-1, len(KINDS)),
        False,
    )


def _headers(handle: int, size: int) -> Iterator[TarMember]:
    """Members one after the other, up to the first that is none of ours or not whole."""
    start = 0
    while (named := parse_header(os.pread(handle, BLOCK, start))) is not None:
        member = TarMember(named[0], start, named[1])
        if member.end > size:
            return
        yield member
        start = member.end
