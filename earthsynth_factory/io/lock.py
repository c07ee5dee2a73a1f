"""One process writes into an output folder at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import FolderInUse
from earthsynth_factory.io.atomic import disk_error
from earthsynth_factory.io.gates import write_below

LOCK = ".lock"
"""Its file in the folder; it holds nothing and may stay."""

_SOFT = ".lock.held"
"""Where the file system has no locks: a file that names its holder, there as long as the folder is held."""

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def locked(out: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the output folder for one job. Raises FolderInUse if another process holds it after `patience` seconds.

    what: the kind of job, as an error calls it ("build"). The lock is the kernel's: it goes with the process, so a killed
    job leaves none behind. A file system without locks is held by a file instead; one whose holder died is taken over.
    """
    from filelock import Timeout

    try:
        out.mkdir(parents=True, exist_ok=True)
        held = _held(out, patience)
    except Timeout:
        raise FolderInUse(f"{out}: another {what} is writing here; wait for it or choose another --out") from None
    except OSError as error:
        raise disk_error(out, error) from error
    try:
        yield
    finally:
        held.release()


def _held(out: Path, patience: float) -> Any:
    from filelock import FileLock, SoftFileLock

    try:
        return FileLock(write_below(out / LOCK, out), timeout=patience, fallback_to_soft=False).acquire().lock
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        held = SoftFileLock(write_below(out / _SOFT, out), timeout=patience).acquire().lock
        for leftover in out.glob(f"{_SOFT}.break.*"):  # of who was killed as it took over a dead holder's
            with suppress(OSError):
                leftover.unlink()
        return held
