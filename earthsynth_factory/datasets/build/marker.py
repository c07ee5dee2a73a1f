"""The commit marker of a shard: what it holds, so that what is lost or changed later is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import SEEK_END
from operator import itemgetter
from pathlib import Path
from typing import Annotated

from pydantic import Field

from earthsynth_factory.datasets.build.layout import ShardLayout, master_names
from earthsynth_factory.datasets.build.masters import masters
from earthsynth_factory.datasets.build.packed import read_index
from earthsynth_factory.datasets.build.records import parsed
from earthsynth_factory.errors import DiskError, SourceError, StoreError
from earthsynth_factory.io.bounded import open_regular, read_bounded
from earthsynth_factory.io.stored import StoredFile

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Marker:
    """slots: first, and one beyond the last. files: of samples and journals; bytes: their sizes summed; sha256: over the
    names and digests of all. Rejected images are not among them: they may be thrown away.
    """

    slots: tuple[Count, Count]
    accepted: Count
    short: Count
    files: Count
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file's size in bytes and the digest of its contents."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileFacts:
        return cls(len(data), hashlib.sha256(data).hexdigest())


def marker_of(layout: ShardLayout, slots: range, accepted: int, known: Mapping[str, FileFacts]) -> Marker:
    """The marker of a shard as it lies on the disk. known: what was written, by its name in a shard that is not packed: such
    files are not read again if they have that size. Raises DiskError if it holds other samples than it should.
    """
    lost = DiskError(f"{layout.root}: files vanished or changed while they were made; run the same command again")
    try:
        files = list(_files(layout))
        if len(files) != 3 * accepted + 2 or not _is_sealed(layout):
            raise lost
        digest, size = _digest(files, known)
    except (OSError, ValueError, StoreError, SourceError) as error:
        raise lost from error
    return Marker((slots.start, slots.stop), accepted, len(slots) - accepted, len(files), size, digest)


def read_marker(layout: ShardLayout) -> Marker | None:
    """The shard's marker; None if there is none or it is damaged, which committing the shard again mends."""
    try:
        return parsed(read_bounded(layout.marker), Marker)
    except (OSError, ValueError):
        return None


def marker_difference(layout: ShardLayout, marker: Marker, digests: bool = False) -> str | None:
    """How the shard differs from its marker, in words; None if it does not. digests: look at the contents too."""
    try:
        sizes = [file.size for _, file in _files(layout)]
        if len(sizes) != marker.files:
            return f"{len(sizes)} files where {marker.files} were committed"
        if sum(sizes) != marker.bytes:
            return f"{sum(sizes)} bytes where {marker.bytes} were committed"
        if not _is_sealed(layout):
            return f"a damaged {layout.packed.name}"
        if digests and _digest(list(_files(layout)), {})[0] != marker.sha256:
            return "files whose contents have changed"
    except OSError as error:
        return f"a file that is missing ({Path(str(error.filename)).name})"
    except SourceError:
        return f"a damaged {layout.packed.name}"
    except (ValueError, StoreError) as error:
        return f"a damaged journal ({error})"
    return None


def _is_sealed(layout: ShardLayout) -> bool:
    """Whether the shard is not packed, or its tar is whole so far as its length tells. Raises OSError, ValueError."""
    return not layout.packed.is_file() or read_index(layout.packed).sealed


def _files(layout: ShardLayout) -> Iterator[tuple[str, StoredFile]]:
    """The journals and the files of every recorded sample, each with its name in a shard that is not packed: packing a shard
    leaves its marker as it is. Raises StoreError if the journal is damaged, OSError.
    """
    yield layout.rejects.name, StoredFile(layout.rejects)
    yield layout.samples.name, StoredFile(layout.samples)
    with open_regular(layout.samples) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                stem = f"{parsed(line, _Slot).slot:07d}"
                yield from zip(master_names(stem), masters(layout, stem), strict=True)
            except ValueError as error:
                raise StoreError(f"{layout.samples}:{number}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Slot:
    slot: Annotated[int, Field(ge=0)]


def _digest(files: list[tuple[str, StoredFile]], known: Mapping[str, FileFacts]) -> tuple[str, int]:
    total, size = hashlib.sha256(), 0
    for name, stored in sorted(files, key=itemgetter(0)):
        facts = known.get(name)
        if facts is None or facts.size != stored.size:
            facts = _read(stored)
        size += facts.size
        total.update(f"{name} {facts.sha256}\n".encode())
    return total.hexdigest(), size


def _read(stored: StoredFile) -> FileFacts:
    with stored.open() as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileFacts(file.seek(0, SEEK_END), digest)
