"""A filtered copy of a folder in the folder's own format: files of dropped images stay out, lists are rewritten.

A file is left out if a dropped image owns it and no kept one does; lists of images are rewritten (`lists`); all else is
linked or copied as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.filtering.kept_files import Parting
from earthsynth_factory.filtering.labelled_folder import Folder
from earthsynth_factory.filtering.rewrite_lists import rewritten
from earthsynth_factory.importers.readers.files import walk
from earthsynth_factory.io.atomic import disk_error, write_bytes

MARK = ".earthsynth-factory-filtered"
"""In a filtered folder: the next decision's may take its place, and that of nothing else."""

DERIVED = {"exports", "report"}
"""Folders of a build that are made from its masters; they are made again, not filtered."""


def check_mirror(folder: Folder, target: Path) -> None:
    """Raises InputError where no filtered folder can be made of this one, StoreError where `target` will not do."""
    if folder.path.is_file():
        raise InputError(f"{folder.path}: is one file; give the folder that it and its images lie in, or --apply list")
    strange = [file for entry in folder.entries for file in entry.files if not file.is_relative_to(folder.path)]
    if strange:
        raise InputError(
            f"{folder.path}: {strange[0].name} lies in an archive, and archives are not rewritten; unpack them, "
            "or use --apply list"
        )
    if target.exists() and any(target.iterdir()) and not (target / MARK).is_file():
        raise StoreError(f"{target}: not empty; remove it, or choose another --out")
    if target.resolve().is_relative_to(folder.path.resolve()):
        raise StoreError(f"{target}: lies inside {folder.path}, which is only read; choose another --out")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target` once all is in it, in place of one that was made so before. Raises DiskError.

    A killed run leaves it under its other name, and the next one begins it again.
    """
    fresh, stale = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    try:
        for leftover in (fresh, stale):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        write_bytes(fresh / MARK, b"", durable=False)
        if (target / MARK).is_file():
            target.rename(stale)
        fresh.replace(target)
        shutil.rmtree(stale, ignore_errors=True)
    except OSError as error:
        raise disk_error(target, error) from error


def mirror(folder: Folder, fresh: Path, target: Path, kept: Collection[str], how: Literal["copy", "link"]) -> None:
    """Write the filtered folder into `fresh`, its lists as if it lay at `target`. kept: names of entries.

    Raises DiskError, SourceError where a list is too large.
    """
    parting = Parting(folder.path, target, folder.entries, frozenset(kept))
    for path in walk(folder.path):
        inner = path.relative_to(folder.path)
        if path in parting.leaving or (folder.kind == "build" and (inner.parts[0] in DERIVED or _marker(inner))):
            continue
        if (data := rewritten(path, parting)) is None:
            _put(path, fresh / inner, how)
        else:
            write_bytes(fresh / inner, data)


def _marker(inner: Path) -> bool:
    """A build's commit marker: its counts and digest speak of the whole shard."""
    return inner.parts[0] == "shards" and len(inner.parts) == 2 and inner.suffix == ".json"


def _put(path: Path, target: Path, how: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if how == "link":
            try:
                os.link(path, target)
                return
            except OSError:  # another file system: a symbolic link says where the file is
                target.symlink_to(path.resolve())
                return
        shutil.copyfile(path, target)
    except OSError as error:
        raise disk_error(target, error) from error
