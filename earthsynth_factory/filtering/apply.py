"""A filtered copy of a folder in the folder's own format: files of dropped images stay out, lists are rewritten.

A file is left out if a dropped image owns it and no kept one does; lists of images are rewritten (`lists`); all else is
linked or copied as it is.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.filtering.kept_files import KeptFiles
from earthsynth_factory.filtering.labelled_folder import Folder
from earthsynth_factory.filtering.rewrite_lists import rewritten
from earthsynth_factory.importers.tree import walk
from earthsynth_factory.io.atomic import TEMPORARY, disk_error, new_file, put_file
from earthsynth_factory.rfilter.selections.base import Bools

DERIVED = {"exports", "report"}
"""Folders of a build that are made from its masters; they are made again, not filtered."""


def check_mirror(folder: Folder, target: Path) -> None:
    """Raises InputError where no filtered folder can be made of this one, StoreError where `target` will not do."""
    if folder.path.is_file():
        raise InputError(f"{folder.path}: is one file; give the folder that it and its images lie in, or --apply list")
    files = (file for entry in folder.entries for file in entry.files)
    strange = next((file for file in files if not file.is_relative_to(folder.path)), None)
    if strange:
        raise InputError(
            f"{folder.path}: {strange.name} lies in an archive, and archives are not rewritten; unpack them, "
            "or use --apply list"
        )
    if target.resolve().is_relative_to(folder.path.resolve()):
        raise StoreError(f"{target}: lies inside {folder.path}, which is only read; choose another --out")


def check_unchanged(target: Path) -> None:
    """Raises StoreError where a filtered folder that has to be made anew stands: it may hold what others put there."""
    if target.exists() and any(target.iterdir()):
        raise StoreError(
            f"{target}: not empty, and made with other thresholds or of other images; remove it, or choose another --out"
        )


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target`, new or empty, once all is in it. Raises DiskError, StoreError.

    What a killed run left goes when the next one begins; the caller holds the folder around it.
    """
    fresh = target.with_name(f".{secrets.token_hex(6)}{TEMPORARY}")
    try:
        for leftover in target.parent.glob(f".*{TEMPORARY}"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        fresh.replace(target)
    except OSError as error:
        raise disk_error(target, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def mirror(folder: Folder, fresh: Path, target: Path, kept: Bools, how: Literal["copy", "link"]) -> None:
    """Write the filtered folder into `fresh`, its lists as if it lay at `target`. kept: (N,) which entries stay.

    Raises DiskError, SourceError where a list is too large.
    """
    files = KeptFiles(folder, target, kept)
    for path in walk(folder.path):
        inner = path.relative_to(folder.path)
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
