"""A signed copy of an export: images that say a program made them get content credentials, all else is taken over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.atomic import disk_error, put_file, temporary_beside
from earthsynth_factory.io.credentials import TYPES, SigningKey, sign_image
from earthsynth_factory.io.provenance import DigitalSource, source_type_of

PACKED = (".parquet", ".tar")
"""Files that hold images which this does not reach."""


@dataclass(frozen=True)
class SignedFolder:
    """Files by what became of them. packed: files of `PACKED` among those taken over."""

    signed: int
    taken_over: int
    packed: int


def sign_folder(folder: Path, out: Path, key: SigningKey, on_file: Callable[[], None] = lambda: None) -> SignedFolder:
    """Make `out`, which must not be there, whole or not at all. Signatures differ from run to run, so nothing of ours is
    changed in place.

    Raises InputError if the folder is a build (its bytes are vouched for) or none, or an image cannot be signed, and
    DiskError.
    """
    if BuildLayout(folder).run.is_file():
        raise InputError(
            f"{folder}: a build, whose bytes are vouched for; sign an export of it, {folder / 'exports'}/…"
        )
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if out.exists() or out.is_symlink():
        raise InputError(f"{out}: is there already; nothing is overwritten, choose another --out")
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out}: lies in {folder} itself; choose another --out")
    fresh = temporary_beside(out)
    try:
        fresh.mkdir(parents=True)
        found = _filled(folder, fresh, key, on_file)
        fresh.rename(out)
    except OSError as error:
        raise disk_error(out, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return found


def _filled(folder: Path, fresh: Path, key: SigningKey, on_file: Callable[[], None]) -> SignedFolder:
    signed = taken_over = packed = 0
    for path in _files(folder):
        target = fresh / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        made = source_type_of(path) if path.suffix.lower() in TYPES else None
        if made in set(DigitalSource):
            sign_image(path, target, str(made), key)
            signed += 1
        else:
            put_file(path, target, link=True)
            taken_over += 1
            packed += path.suffix.lower() in PACKED
        on_file()
    return SignedFolder(signed, taken_over, packed)


def _files(folder: Path) -> Iterator[Path]:
    """Its files in order; links are refused, since they may lead out of it."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise InputError(f"{path}: a link; a signed folder is made of files")
        if path.is_file():
            yield path
