"""Whether a folder that was written whole still holds what was written, and nothing of others: then it may be replaced."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileNames:
    """The files of a folder: how many, and a digest of their names that does not depend on their order."""

    count: int
    digest: str


def names_of(folder: Path, but: Path | None = None) -> FileNames:
    """The names of all files below a folder, all but one, if that is named. Raises OSError."""
    total = count = 0
    for name, entry in _walk(folder, ""):
        if but is None or Path(entry.path) != but:
            total += int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=16).digest(), "big")
            count += 1
    return FileNames(count, f"{total % (1 << 128):032x}")


def strangers(folder: Path, written: FileNames, mark: Path) -> str:
    """Some files that came to a folder since it was written; empty if there are none. mark: the file that holds `written`.

    Raises OSError.
    """
    if names_of(folder, mark) == written:
        return ""
    since = mark.stat().st_mtime
    newer = [name for name, entry in _walk(folder, "") if entry.stat(follow_symlinks=False).st_mtime > since]
    return ", ".join(sorted(newer)[:5]) or "or lacks some of its own"


def _walk(folder: Path, above: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{above}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{name}/")
            else:
                yield name, entry
