"""Disks that are full, fail, are read-only or know no locks, played by wrappers around the system's calls."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attack.inputs import Inputs
from tests.attack.kills import UNORDERED, Job, jobs
from tests.attack.outcome import Outcome
from tests.attack.running import differing, run, tree

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

FAILURES = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}


def failing(number: int, after: int, below: Path) -> Callable[[], None]:
    """Installs calls that fail with this errno from the `after`-th on, for files below a folder."""

    def install() -> None:
        left = [after]

        def due(path: Any) -> bool:
            if not str(path).startswith(str(below)):
                return False
            left[0] -= 1
            return left[0] < 0

        opened, synced, renamed, linked = os.open, os.fsync, os.replace, os.link

        def open_(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if flags & WRITING and due(path):
                raise OSError(number, os.strerror(number), str(path))
            return opened(path, flags, *rest, **named)

        def fsync(handle: int) -> None:
            if due(Path(f"/proc/self/fd/{handle}").readlink()):
                raise OSError(number, os.strerror(number))
            synced(handle)

        def replace(source: Any, target: Any, **named: Any) -> None:
            if due(target):
                raise OSError(number, os.strerror(number), str(target))
            renamed(source, target, **named)

        def link(source: Any, target: Any, **named: Any) -> None:
            if due(target):
                raise OSError(number, os.strerror(number), str(target))
            linked(source, target, **named)

        os.open, os.fsync, os.replace, os.link = open_, fsync, replace, link  # type: ignore[assignment]

    return install


def without_locks(number: int) -> Callable[[], None]:
    """Installs a `flock` that the file system does not have."""

    def install() -> None:
        import fcntl

        def flock(*_: Any) -> None:
            raise OSError(number, os.strerror(number))

        fcntl.flock = flock

    return install


def attack(inputs: Inputs, folder: Path, times: int, chance: random.Random) -> list[Outcome]:
    """Every command on each failing disk, and again on a sound one: it goes on, and the result is a whole run's."""
    found = []
    for job in jobs(inputs):
        if job.workers:
            continue  # processes of its own have sound disks
        outcome = Outcome(f"failing disk: {job.name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        assert run(job.into(folder / "whole"), folder / "log.txt").code == 0
        for word, number in FAILURES.items():
            for _ in range(times):
                outcome.count(_tried(job, folder, word, number, chance.randrange(1, 60)))
        for number in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            outcome.count(_without_locks(job, folder, number))
        found.append(outcome)
    return found


def _tried(job: Job, folder: Path, word: str, number: int, after: int) -> str | None:
    out, log = folder / "out", folder / "log.txt"
    shutil.rmtree(out, ignore_errors=True)
    ended = run(job.into(out), log, failing(number, after, out))
    what = f"{job.name}, {word} after {after}"
    if fault := ended.fault():
        return f"{what}: {fault}"
    if ended.code == 0 and after < 3:
        return f"{what}: was not noticed"
    again = run(job.into(out), log)
    if again.code != 0:
        return f"{what}, again: exit {again.code}: {again.text[-200:]}"
    names = differing(tree(folder / "whole", UNORDERED), tree(out, UNORDERED))
    return f"{what}: differs from a whole run: {names[:4]}" if names else None


def _without_locks(job: Job, folder: Path, number: int) -> str | None:
    out, log = folder / "out", folder / "log.txt"
    shutil.rmtree(out, ignore_errors=True)
    ended = run(job.into(out), log, without_locks(number))
    what = f"{job.name}, flock fails with {errno.errorcode[number]}"
    if fault := ended.fault(allowed=[0]):
        return f"{what}: {fault}"
    names = differing(tree(folder / "whole", UNORDERED), tree(out, UNORDERED))
    return f"{what}: differs: {names[:4]}" if names else None
