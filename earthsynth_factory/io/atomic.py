"""Files written whole or not at all: temporary file, fsync, rename."""

from __future__ import annotations

import ctypes
import errno
import filecmp
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

import orjson

from earthsynth_factory.errors import DiskError, FactoryError, StoreError
from earthsynth_factory.io.objects import local

TEMPORARY = ".esf-tmp"
"""How the names of our unfinished files end; what a killed run left of them may be removed by whoever holds the folder."""

_FRESH = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A path beside `path` to write to: it becomes `path`, in place of a file or link there, when the block ends, and is
    gone when the block fails.

    durable: wait until the disk has it. Without, the caller flushes many files at once before it records them. Raises
    DiskError, StoreError.
    """
    with _in_place_of(path) as temporary:
        _made(temporary).close()
        yield temporary
        if durable:
            _flush(temporary)


@contextmanager
def new_file(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """As `replacing`, opened for writing."""
    with _in_place_of(path) as temporary, _made(temporary) as file:
        yield file
        if durable:
            file.flush()
            os.fsync(file.fileno())


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Put `data` at `path` whole or not at all; see `replacing`."""
    with new_file(path, durable) as file:
        file.write(data)


def create_bytes(path: Path, data: bytes) -> None:
    """Put `data` at a path where nothing is yet, whole or not at all. Raises FileExistsError, DiskError, StoreError."""
    temporary = temporary_beside(path)
    try:
        with _made(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _named(temporary, path, data)
    except FileExistsError:
        raise
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        _removed(temporary)


def _named(temporary: Path, path: Path, data: bytes) -> None:
    """Give the file its name, which a hard link does unless something has it; without links the file is made at once."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        with _made(path) as file:
            file.write(data)


@contextmanager
def changed_file(path: Path) -> Iterator[IO[bytes]]:
    """As `new_file`, but a file that holds just the same is not touched."""
    with _in_place_of(path, same=True) as temporary, _made(temporary) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _in_place_of(path: Path, same: bool = False) -> Iterator[Path]:
    """same: whether a file with the same bytes stays."""
    temporary = temporary_beside(path)
    try:
        yield temporary
        if same and path.is_file() and not path.is_symlink() and filecmp.cmp(temporary, path, shallow=False):
            _removed(temporary)
        else:
            temporary.replace(path)
    except BaseException as error:
        _removed(temporary)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush(paths: Sequence[Path]) -> None:
    """Wait until the disk has files that were written without `durable`, all in one folder or below it. Raises DiskError.

    Linux writes out the whole file system that the first one is on at once, which takes about as long as a single file.
    """
    if not paths:
        return
    try:
        if not _file_system_flushed(paths[0].parent):
            for path in paths:
                _flush(path)
    except OSError as error:
        raise disk_error(paths[0], error) from error


def _file_system_flushed(folder: Path) -> bool:
    """Flush the file system that holds the folder; False if this system cannot. Raises OSError."""
    call = _syncfs()
    if call is None:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        if call(handle) == 0:
            return True
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)


@cache
def _syncfs() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if sys.platform == "linux" else None


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that nobody else has, whatever is planted there."""
    return path.with_name(f".{secrets.token_hex(6)}{TEMPORARY}")


def remove(path: Path) -> None:
    """Remove a file of ours, if it is there. Raises DiskError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error


def _removed(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed run left half-written in this folder itself. Only for who holds the folder's lock."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        _removed(leftover)


def sweep_folders(folder: Path) -> None:
    """Remove the unfinished and discarded folders that a killed run left in this one; nobody else has such names."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)


def throw_away(folder: Path) -> None:
    """Remove a folder of ours, if it is there. A kill in the midst leaves a rest to `sweep_folders`, never half of it under
    its own name, which would be taken for somebody else's.
    """
    stale = temporary_beside(folder)
    with suppress(OSError):
        folder.rename(stale)
    shutil.rmtree(stale, ignore_errors=True)


def put_file(source: Path, target: Path, link: bool) -> None:
    """Bring a file to `target` whole or not at all: a hard link if wished and the file system has them, else a copy.

    Raises DiskError, StoreError.
    """
    if link and _linked(source, target):  # a link appears whole
        return
    temporary = temporary_beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (link and _linked(source, temporary)):
            _made(temporary).close()
            shutil.copyfile(source, temporary)  # within the kernel, if it can
        temporary.replace(target)
    except OSError as error:
        raise disk_error(target, error) from error
    finally:
        _removed(temporary)  # which stays if both were the same file already


def _linked(source: Path, target: Path) -> bool:
    """Whether `target`, where nothing may stand, is now a link to `source`."""
    try:
        os.link(source, target, follow_symlinks=False)
        return True
    except (OSError, NotImplementedError):
        return False


def _made(path: Path) -> IO[bytes]:
    """A file that was not there, opened for writing; its folder is made if it is missing."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | _FRESH, 0o666), "wb")
    except FileNotFoundError:
        local(path.parent).mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | _FRESH, 0o666), "wb")


def write_json(path: Path, data: object) -> None:
    """As `write_bytes`, indented JSON with sorted keys."""
    write_bytes(path, json_bytes(data))


def json_bytes(data: object) -> bytes:
    """Indented JSON with sorted keys."""
    return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def write_changed(path: Path, data: bytes) -> None:
    """As `write_bytes`, but a file that holds just this is not touched."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != len(data) or path.read_bytes() != data:
        write_bytes(path, data)


_MENDABLE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EIO: "the disk gave an Input/output error; see to it",
    errno.ENOENT: "was removed while it was written to: if the whole folder was, remove what is left of it",
}
"""What waiting or the user's hand can mend, so that the same command goes on."""

_LASTING = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.ENOTDIR: "a file is in the way where a folder is to be",
    errno.EEXIST: "a file is in the way where a folder is to be",
    errno.EISDIR: "a folder is in the way where a file is to be",
    errno.ENOTEMPTY: "a folder that is not empty is in the way",
    errno.ELOOP: "is a link, and nothing is written through links",
    errno.EINVAL: "the file system refuses this name",
}
"""What stays as it is however often the command is run."""


def disk_error(path: Path, error: OSError) -> FactoryError:
    """The error a user sees when writing fails, with the remedy that fits: DiskError if the same command can go on later,
    StoreError if something has to be changed first.
    """
    if error.errno in _LASTING:
        return StoreError(f"{path}: {_LASTING[error.errno]}; remove what is there, or choose another folder")
    remedy = _MENDABLE.get(error.errno or 0, error.strerror or str(error))
    return DiskError(f"{path}: {remedy}, then run the same command again: it goes on where it stopped")
