"""One process writes into an output folder at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import disk_error

LOCK = ".lock"
"""Its file in the folder; it holds nothing and may stay."""


@contextmanager
def locked(out: Path, what: str) -> Iterator[None]:
    """Hold the output folder for one job. Raises StoreError where another process holds it.

    what: the kind of job, as an error calls it ("build"). The lock is the kernel's (flock): it goes with the process, so
    a killed job leaves none behind.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise disk_error(out, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(f"{out}: another {what} is writing here; wait for it or choose another --out") from None
        yield
    finally:
        os.close(handle)
