"""A filtered copy of a folder in the folder's own format: files of dropped images stay out, lists are rewritten.

A file is left out if a dropped image owns it and no kept one does; lists of images are rewritten (`lists`); all else is
linked or copied as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import orjson

from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.filtering.kept_files import KeptFiles
from earthsynth_factory.filtering.labelled_folder import LabelledFolder
from earthsynth_factory.filtering.rewrite_lists import rewritten
from earthsynth_factory.importers.tree import walk
from earthsynth_factory.io.atomic import disk_error, new_file, put_file, sweep_folders, temporary_beside, write_json
from earthsynth_factory.io.own_files import FileNames, names_of, strangers
from earthsynth_factory.rfilter.selections.base import Bools

DERIVED = {"exports", "report"}
"""Folders of a build that are made from its masters; they are made again, not filtered."""


def check_mirror(folder: LabelledFolder, target: Path) -> None:
    """Raises InputError if no filtered folder can be made of this one, StoreError if `target` will not do."""
    if folder.path.is_file():
        raise InputError(f"{folder.path}: is one file; give the folder that it and its images lie in, or --apply list")
    files = (file for entry in folder.entries for file in entry.places)
    strange = next((file for file in files if not file.is_relative_to(folder.path)), None)
    if strange:
        raise InputError(
            f"{folder.path}: {strange.name} lies in an archive, and archives are not rewritten; unpack them, "
            "or use --apply list"
        )
    if target.resolve().is_relative_to(folder.path.resolve()):
        raise StoreError(f"{target}: lies inside {folder.path}, which is only read; choose another --out")


def check_own(target: Path, names: Path) -> None:
    """Raises StoreError if a folder that has to be made anew holds what no filter wrote. names: what the filter noted."""
    if not target.exists() or not any(target.iterdir()):
        return
    try:
        noted = FileNames(**orjson.loads(names.read_bytes()))
        strange = strangers(target, noted, names)
    except (OSError, ValueError, TypeError):  # an earlier version noted nothing
        strange = "of which nothing is noted"
    if strange:
        raise StoreError(
            f"{target}: would be made anew, and holds files that no filter wrote ({strange}); move them away, or choose "
            "another --out"
        )


@contextmanager
def whole(target: Path, names: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `target` once all is in it; names: where to note which files it has.

    Raises DiskError, StoreError. What a killed run left goes when the next one begins; the caller holds the folder around it.
    """
    fresh = temporary_beside(target)
    try:
        sweep_folders(target.parent)
        fresh.mkdir(parents=True)
        yield fresh
        write_json(names, asdict(names_of(fresh)))
        fresh.replace(target)
    except OSError as error:
        raise disk_error(target, error) from error
    finally:
        sweep_folders(target.parent)


def set_aside(target: Path) -> None:
    """Move what an earlier run wrote out of the way; it goes with what is left of killed runs. Raises DiskError."""
    try:
        if target.exists():
            target.rename(temporary_beside(target))
    except OSError as error:
        raise disk_error(target, error) from error


def mirror(folder: LabelledFolder, fresh: Path, target: Path, kept: Bools, how: Literal["copy", "link"]) -> None:
    """Write the filtered folder into `fresh`, its lists as if it lay at `target`. kept: (N,) which entries stay.

    Raises DiskError, SourceError if a list is too large.
    """
    files = KeptFiles(folder, target, kept)
    for path in walk(folder.path):
        inner = path.relative_to(folder.path)
        if not path.is_file():  # a pipe never ends, and is no part of a dataset
            continue
        if path in files.leaving or (folder.kind == "build" and (inner.parts[0] in DERIVED or _marker(inner))):
            continue
        if (pieces := rewritten(path, files)) is None:
            put_file(path, fresh / inner, link=how == "link")
        else:
            with new_file(fresh / inner) as file:
                file.writelines(pieces)


def _marker(inner: Path) -> bool:
    """A build's commit marker: its counts and digest speak of the whole shard."""
    return inner.parts[0] == "shards" and len(inner.parts) == 2 and inner.suffix == ".json"
