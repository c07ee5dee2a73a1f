"""Commands run in forked processes that have everything imported: quick to start, easy to kill."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMES = {"sessions.jsonl", "journal.jsonl", "build.log", ".lock"}
"""Files that hold times, or what was said on the way, or nothing."""

_SECONDS = re.compile(rb'"(?:training_seconds|seconds|digest)":\s*(?:"[0-9a-f]*"|[0-9.e-]+)')
"""What an evaluation's files tell of times, and the digest over that."""


@dataclass(frozen=True)
class Ended:
    """code: exit code, or minus the signal. text: stdout and stderr."""

    code: int
    text: str

    def fault(self, allowed: Sequence[int] = (0, 2, 3)) -> str | None:
        """What is wrong with the end of a command, None if nothing is."""
        if "Traceback" in self.text or self.code not in allowed:
            return f"exit {self.code}: {' / '.join(self.text.strip().splitlines()[-12:])[-1500:]}"
        return None


def preload() -> None:
    """Import what commands import, once."""
    import earthsynth_factory.build.reporting
    import earthsynth_factory.build.run
    import earthsynth_factory.cli.export
    import earthsynth_factory.conditions.procedural
    import earthsynth_factory.filtering.run
    import earthsynth_factory.importers.prepare  # noqa: F401


def start(words: Sequence[object], log: Path, before: Callable[[], None] = lambda: None) -> int:
    """The command in a process (and a group) of its own; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(handle, number)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        before()
        code = call(words)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def call(words: Sequence[object]) -> int:
    """The command in this process; its exit code."""
    from earthsynth_factory.cli import main

    sys.argv = ["earthsynth-factory", *map(str, words)]
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def finish(pid: int, log: Path, seconds: float = 600) -> Ended:
    """Wait for the command; one that hangs is killed, which is a fault."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return Ended(os.waitstatus_to_exitcode(status), log.read_text(errors="replace"))
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return Ended(-9, f"Traceback: hangs for {seconds} s; {log.read_text(errors='replace')[-300:]}")


def run(words: Sequence[object], log: Path, before: Callable[[], None] = lambda: None, seconds: float = 600) -> Ended:
    """Start and finish."""
    return finish(start(words, log, before), log, seconds)


def tree(folder: Path, leave_out: set[str] = frozenset()) -> dict[str, str]:  # type: ignore[assignment]
    """Name → digest of every file but those that hold times; a folder that is not there is empty."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(_timeless(path)).hexdigest()
        for path in paths
        if path.name not in TIMES | leave_out
    }


def _timeless(path: Path) -> bytes:
    data = path.read_bytes()
    return _SECONDS.sub(b"", data) if path.parent.name == "runs" or path.name == "evaluation.json" else data


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names that only one has, or whose bytes differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def limit_memory(more: int) -> None:
    """Let this process map this many bytes more than it has: libraries that are loaded count, though they fill no memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
