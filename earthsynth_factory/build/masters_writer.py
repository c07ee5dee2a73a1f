"""Writing the three files of every sample of a shard: each on its own, or appended to the shard's tar.

A shard keeps the form that it was begun in. What is recorded of it is on the disk before (`flush`), and outlasts a kill;
the rest is made again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.packed import PackedSample, member_names, read_index, sealed, sealing
from earthsynth_factory.errors import DiskError, SourceError
from earthsynth_factory.io import atomic, tar_members
from earthsynth_factory.io.atomic import disk_error, new_file, write_bytes

Pngs = tuple[bytes, bytes, bytes]
"""Image, mask and instance map, encoded."""


class MastersWriter(Protocol):
    """Writes the masters of one shard. `put` may be called from several threads. All raise DiskError, StoreError."""

    def put(self, stem: str, pngs: Pngs) -> None:
        """Write those of a sample, in place of earlier ones."""
        ...

    def flush(self, stems: Sequence[str]) -> None:
        """Wait until the disk has them."""
        ...

    def seal(self, stems: Sequence[str]) -> None:
        """Nothing follows; stems: all samples of the shard, ascending."""
        ...

    def close(self) -> None:
        """Nothing more is put."""
        ...


def masters_writer(layout: ShardLayout, recorded: Sequence[str], pack: bool) -> MastersWriter:
    """A writer that goes on in a shard. recorded: stems of samples that stay. pack: wanted for one that has none."""
    if layout.packed.is_file() or (pack and not recorded):
        return _PackedWriter(layout, recorded)
    return _LooseWriter(layout)


class _LooseWriter:
    def __init__(self, layout: ShardLayout) -> None:
        self._layout = layout

    def put(self, stem: str, pngs: Pngs) -> None:
        for path, data in zip(self._layout.masters(stem), pngs, strict=True):
            write_bytes(path, data, durable=False)

    def flush(self, stems: Sequence[str]) -> None:
        atomic.flush([path for stem in stems for path in self._layout.masters(stem)])

    def seal(self, stems: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass


class _PackedWriter:
    """Appends to the tar; sealing it takes a copy only if samples did not come in their order."""

    def __init__(self, layout: ShardLayout, recorded: Sequence[str]) -> None:
        self._layout, self._path = layout, layout.packed
        self._lock = threading.Lock()
        try:
            self._samples = _stored(self._path, recorded)
            self._end = max((sample.end for sample in self._samples.values()), default=0)
            self._handle = _opened(self._path, self._end)
        except OSError as error:
            raise disk_error(self._path, error) from error

    def put(self, stem: str, pngs: Pngs) -> None:
        data = b"".join(map(tar_members.packed, member_names(stem), pngs))
        image, mask, instances = map(len, pngs)
        try:
            with self._lock:
                _write(self._handle, data, self._end)
                self._samples[stem] = PackedSample(int(stem), self._end, (image, mask, instances))
                self._end += len(data)
        except OSError as error:
            raise disk_error(self._path, error) from error

    def flush(self, stems: Sequence[str]) -> None:
        try:
            if stems:
                os.fsync(self._handle)
        except OSError as error:
            raise disk_error(self._path, error) from error

    def seal(self, stems: Sequence[str]) -> None:
        try:
            samples = [self._samples[stem] for stem in stems]
            if _in_order(samples):
                self._append_index(samples)
            else:
                with new_file(self._path) as file:
                    file.writelines(sealed(self._path, samples))
        except (KeyError, ValueError, SourceError) as error:
            raise DiskError(f"{self._path}: changed while it was made ({error}); run the same command again") from error
        except OSError as error:
            raise disk_error(self._path, error) from error

    def _append_index(self, samples: Sequence[PackedSample]) -> None:
        end = samples[-1].end if samples else 0
        with self._path.open("rb+") as file:
            file.truncate(end)
            file.seek(end)
            file.write(sealing(samples))
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        with suppress(OSError):  # what is recorded was flushed
            os.close(self._handle)


def _stored(path: Path, recorded: Sequence[str]) -> dict[str, PackedSample]:
    """Where the recorded samples lie in the tar. Raises OSError."""
    if not path.is_file():
        return {}
    index = read_index(path)
    found = {stem: index.find(int(stem)) for stem in recorded}
    return {stem: sample for stem, sample in found.items() if sample}


def _opened(path: Path, end: int) -> int:
    """The tar, cut off there, to be written to; a copy takes its place, since other names may lead to the same file. Raises
    OSError, DiskError, StoreError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.is_file() and (path.stat().st_nlink > 1 or read_index(path).sealed)):
        with new_file(path) as copy, path.open("rb") as file:
            _copy(file.fileno(), copy.fileno(), end)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666)
    os.truncate(handle, end)
    return handle


def _copy(source: int, target: int, size: int) -> None:
    """The first bytes of one file into another. Raises OSError."""
    done = 0
    while done < size and (piece := os.pread(source, min(size - done, 1 << 20), done)):
        _write(target, piece, done)
        done += len(piece)


def _write(handle: int, data: bytes, start: int) -> None:
    """All of the data, whatever a single call takes. Raises OSError."""
    view = memoryview(data)
    while view:
        done = os.pwrite(handle, view, start)
        view, start = view[done:], start + done


def _in_order(samples: Sequence[PackedSample]) -> bool:
    """Whether they lie one behind the other from the start."""
    ends = [0, *(sample.end for sample in samples)]
    return all(sample.start == end for sample, end in zip(samples, ends, strict=False))
