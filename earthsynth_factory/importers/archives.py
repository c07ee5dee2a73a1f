"""Archives of strangers: parts read as one file, entries weighed before a byte of them is written."""

from __future__ import annotations

import bisect
import io
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from earthsynth_factory.errors import DiskError, SourceError, StoreError
from earthsynth_factory.importers.scene import Notes
from earthsynth_factory.io.atomic import disk_error, write_bytes
from earthsynth_factory.io.gates import is_plain, write_below

MAX_ENTRIES = 5_000_000
MAX_ENTRY_BYTES = 1 << 28
"""Largest single file that is unpacked: a 512-pixel PNG has a thousandth of it."""

MAX_RATIO = 1000
"""Unpacked bytes per packed byte from which an entry is taken for a bomb; deflate cannot exceed 1,032."""


class Joined(io.RawIOBase):
    """Files one after another as one seekable file, so that parts need no second copy on the disk."""

    def __init__(self, parts: list[Path]) -> None:
        self._files = [part.open("rb") for part in parts]
        self._ends: list[int] = []
        for part in parts:
            self._ends.append((self._ends[-1] if self._ends else 0) + part.stat().st_size)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._ends[-1]}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = bisect.bisect_right(self._ends, self._place)
        if part == len(self._files):
            return 0
        begin = self._ends[part - 1] if part else 0
        file = self._files[part]
        file.seek(self._place - begin)
        data = file.read(min(len(buffer), self._ends[part] - self._place))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def unpack(parts: list[Path], target: Path, wanted: Callable[[PurePosixPath], bool], notes: Notes) -> int:
    """Write the wanted entries of a zip (in parts) below `target`; gives how many are there. A second call adds nothing.

    Entries that climb out, are links, too large or too dense are faults; others that are not wanted are counted.
    Raises `SourceError` if it is no zip or has too many entries, `DiskError` if the disk has no room.
    """
    try:
        with zipfile.ZipFile(io.BufferedReader(Joined(parts), 1 << 20)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise SourceError(f"{parts[0]}: {len(entries)} entries are more than {MAX_ENTRIES}")
            chosen = [entry for entry in entries if _usable(entry, parts[0], wanted, notes)]
            _room(chosen, target)
            for entry in chosen:
                _write(archive, entry, target, parts[0], notes)
            return len(chosen)
    except (zipfile.BadZipFile, zlib.error, OSError, UnicodeDecodeError, NotImplementedError) as error:
        raise SourceError(f"{parts[0]}: not a whole zip archive ({error}); fetch every part again") from error


def _usable(entry: zipfile.ZipInfo, archive: Path, wanted: Callable[[PurePosixPath], bool], notes: Notes) -> bool:
    path, place = PurePosixPath(entry.filename), f"{archive}, entry {entry.filename[:120]!r}"
    if entry.is_dir():
        return False
    if not path.parts or not all(map(is_plain, path.parts)):
        notes.fault(place, "its path leads out of the archive, or is none on every system; skipped")
    elif stat.S_ISLNK(entry.external_attr >> 16):
        notes.fault(place, "a link; skipped")
    elif entry.flag_bits & 1:
        notes.fault(place, "encrypted; skipped")
    elif not wanted(path):
        notes.left_out["archive entry that is no image or mask"] += 1
    elif entry.file_size > MAX_ENTRY_BYTES or entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        notes.fault(place, f"{entry.file_size} bytes from {entry.compress_size}; skipped as too large or too dense")
    else:
        return True
    return False


def _room(entries: list[zipfile.ZipInfo], target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(target, error) from error
    need = sum(entry.file_size for entry in entries if not _there(entry, target))
    free = shutil.disk_usage(target).free
    if need > free:
        raise DiskError(f"{target}: unpacking needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; free some space")


def _there(entry: zipfile.ZipInfo, target: Path) -> bool:
    path = target / entry.filename
    return path.is_file() and path.stat().st_size == entry.file_size


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, place: Path, notes: Notes) -> None:
    if _there(entry, target):
        return
    try:
        with archive.open(entry) as file:
            data = file.read(MAX_ENTRY_BYTES + 1)
        if len(data) != entry.file_size:
            raise zipfile.BadZipFile("another size than the directory says")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        notes.fault(f"{place}, entry {entry.filename[:120]!r}", f"damaged ({error}); skipped")
        return
    try:
        write_bytes(write_below(target / entry.filename, target), data, durable=False)
    except StoreError as error:  # a file and a folder of one name
        notes.fault(f"{place}, entry {entry.filename[:120]!r}", f"cannot be unpacked ({error}); skipped")
