"""Files written whole or not at all: temporary file, fsync, rename."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from earthsynth_factory.errors import DiskError


@contextmanager
def replacing(path: Path, durable: bool = True, shared: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to: it becomes `path` when the block ends, and is gone when the block fails.

    durable: wait until the disk has it. Without, the caller flushes many files at once before it records them. shared:
    several processes may do so at once, each under a name of its own. Raises DiskError where the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp" if shared else f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _flush(temporary)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise


def write_bytes(path: Path, data: bytes, durable: bool = True, shared: bool = False) -> None:
    """Put `data` at `path` whole or not at all; see `replacing`. Raises DiskError where the disk refuses."""
    with replacing(path, durable, shared) as temporary:
        temporary.write_bytes(data)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_json(path: Path, data: object) -> None:
    """As `write_bytes`, indented JSON with sorted keys."""
    write_bytes(path, orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def disk_error(path: Path, error: OSError) -> DiskError:
    """The error a user sees when writing fails, with the remedy that fits."""
    remedies = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.EACCES: "no permission to write there; choose another folder",
    }
    remedy = remedies.get(error.errno or 0, error.strerror or str(error))
    return DiskError(f"{path}: {remedy}, then run the same command again: it goes on where it stopped")
