"""Who works at what in a folder that machines share: a file that names its holder and is touched as long as that lives.

No lock of the file system is asked for. A lease is a file that is created or not, at once, so one of several gets it. Its
time of change is its heartbeat, set and compared by the file system's own clock: those of the machines may differ. A dead
holder's lease stays, and whoever follows makes the next generation of it, so that nobody removes what another may hold.
A holder that only seemed dead (stopped for minutes, cut off) goes on without knowing: what is made under a lease must be
harmless when it is made twice.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import create_bytes, disk_error, remove, temporary_beside
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.io.gates import write_below

BEAT_SECONDS = 15.0
"""A live holder touches its lease this often."""

DEAD_SECONDS = 180.0
"""A lease that was not touched for so long is a dead holder's. Network file systems show a change up to 60 s late."""

_NAME = re.compile(r"([a-z0-9]{1,40})\.([0-9]{1,9})\.lease")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease. machine: this boot of a machine and its table of processes, which tells whether `pid` lives; empty
    if that cannot be known. started: when the process began, in ticks since the boot. token: its own, of this lease alone.
    """

    host: str
    machine: str
    pid: int
    started: int
    token: str

    @classmethod
    def me(cls) -> Holder:
        """This process, with a new token."""
        return cls(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()) or 0, secrets.token_hex(6))

    @property
    def gone(self) -> bool | None:
        """Whether the process has ended; None if only its heartbeat can tell."""
        if not self.machine or self.machine != _machine():
            return None
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """A lease as it lies in its folder, the last generation of its name. holder: None if the file cannot be read."""

    path: Path
    key: str
    generation: int
    holder: Holder | None
    beat: float

    def lives(self, now: float) -> bool:
        """Whether its holder does. now: of the same file system, see `clock_of`."""
        gone = self.holder.gone if self.holder else None
        return now - self.beat < DEAD_SECONDS if gone is None else not gone


class Lease:
    """A lease that this process holds, and keeps up from a thread of its own."""

    def __init__(self, folder: Path, key: str, generation: int, holder: Holder) -> None:
        self._path, self._key = _place(folder, key, generation), key
        self._holder, self._generation = holder, generation
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True, name="lease").start()

    @property
    def token(self) -> str:
        """Names the holder in names of files."""
        return self._holder.token

    @property
    def path(self) -> Path:
        """Its file, which is nobody else's."""
        return self._path

    @property
    def held(self) -> bool:
        """Whether it is still ours: nobody took us for dead."""
        last = leases(self._path.parent, self._key).get(self._key)
        return last is not None and last.holder == self._holder

    def release(self) -> None:
        """Let go. Earlier generations go first: what is left of them must not seem to be the last."""
        self._ended.set()
        for number in range(self._generation):
            remove(_place(self._path.parent, self._key, number))
        remove(self._path)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # gone, or for a while out of reach: `held` tells
                os.utime(self._path)  # without a time of ours the server sets its own


@contextmanager
def leased(folder: Path, key: str) -> Iterator[Lease | None]:
    """The lease of this name in a folder, for a while; None if a live holder has it. Raises DiskError, StoreError."""
    lease = _taken(folder, key)
    try:
        yield lease
    finally:
        if lease:
            lease.release()


def _taken(folder: Path, key: str) -> Lease | None:
    try:
        write_below(folder, folder.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from error
    last = leases(folder, key).get(key)
    if last and last.lives(clock_of(folder)):
        return None
    generation, holder = last.generation + 1 if last else 0, Holder.me()
    try:
        create_bytes(_place(folder, key, generation), orjson.dumps(asdict(holder)))
    except FileExistsError:  # another was quicker
        return None
    return Lease(folder, key, generation, holder)


def leases(folder: Path, only: str | None = None) -> dict[str, LeaseFile]:
    """Every name's last generation, or one name's: among a thousand holders no other's file is read then.

    Raises StoreError if the folder cannot be read.
    """
    found: dict[str, int] = {}
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            if (match := _NAME.fullmatch(path.name)) and only in (None, match[1]):
                found[match[1]] = max(int(match[2]), found.get(match[1], 0))
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read ({error.strerror})") from error
    read = (_read(folder, key, generation) for key, generation in found.items())
    return {lease.key: lease for lease in read if lease}


def live_leases(folder: Path, only: str | None = None) -> dict[str, LeaseFile]:
    """Those of `leases` whose holders live."""
    found = leases(folder, only)
    now = clock_of(folder) if found else 0.0
    return {key: lease for key, lease in found.items() if lease.lives(now)}


def clock_of(folder: Path) -> float:
    """What time it is by the clock that marks the folder's files, in seconds. Raises DiskError."""
    probe = temporary_beside(write_below(folder, folder.parent) / "clock")
    try:
        with probe.open("xb") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def _read(folder: Path, key: str, generation: int) -> LeaseFile | None:
    """The lease; None if it was let go meanwhile."""
    path = _place(folder, key, generation)
    try:
        return LeaseFile(path, key, generation, _holder(path), path.lstat().st_mtime)
    except OSError:
        return None


def _holder(path: Path) -> Holder | None:
    """Whom the file names; None if it is none of ours. Raises OSError."""
    try:
        found = orjson.loads(read_bounded(path))
        return Holder(
            str(found["host"]), str(found["machine"]), int(found["pid"]), int(found["started"]), str(found["token"])
        )
    except (ValueError, KeyError, TypeError):
        return None


def _place(folder: Path, key: str, generation: int) -> Path:
    return folder / f"{key}.{generation}.lease"


@cache
def _machine() -> str:
    """A name for this boot of the machine and the table of processes that this one stands in; empty if neither is told."""
    if sys.platform != "linux":
        return socket.gethostname() if os.name == "posix" else ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When the process began, in ticks since the boot, or 0 if only Linux would tell; None if it has ended."""
    try:
        if sys.platform != "linux":
            os.kill(pid, 0)
            return 0
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state == "Z" else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None
