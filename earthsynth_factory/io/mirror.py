"""A local copy of a folder in an object store: fetched where it changed, worked in, and sent back with its markers last.

    cache/objects/<digest>/<name>/…        the copy
    cache/objects/<digest>/known.json      what each file was when it was the same as its object

One process has a copy at a time. What was made in it and not sent stays there, so that a killed command goes on. Of a build's
shards the marker alone is known: it is fetched and sent after all that it stands for.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.errors import DiskError, StoreError
from earthsynth_factory.io.atomic import TEMPORARY, disk_error, remove, replacing, write_bytes
from earthsynth_factory.io.cache import cache_folder
from earthsynth_factory.io.claim import MARK
from earthsynth_factory.io.lock import LOCK, locked
from earthsynth_factory.io.log import LOGGER
from earthsynth_factory.io.objects import ObjectAddress, ObjectStore, Stored
from earthsynth_factory.io.printable import readable_size

AT_ONCE = 16
"""Transfers side by side."""

TOLD_SECONDS = 30.0

WAIT_SECONDS = 3600.0
"""How long a process waits for another that fetches the same."""

CHECKS = 3
"""How often what was sent is compared with what arrived."""

OURS = ".earthsynth-factory"
"""How the names of marks begin: of a folder, of an export."""

_SHARD = re.compile(r"shards/(?:([0-9]{5,7})/.+|([0-9]{5,7})\.json)")

Tell = Callable[[str], None]


def no_word(_: str) -> None:
    """Tells nobody."""


def located(base: Path, given: str | Path) -> Path:
    """Where a file or folder that a recipe names lies: below `base`, or the local copy of what lies in an object store.

    The copy is fetched by whoever asks first, and again where it changed. Raises StoreError, DiskError, InputError.
    """
    address = ObjectAddress.of(given)
    return base / Path(given).expanduser() if address is None else _fetched(address)


@cache
def _fetched(address: ObjectAddress) -> Path:
    """The copy, up to date once in a process; of a single object its file."""
    mirror = Mirror(address, tell=LOGGER.warning)
    with mirror.held(patience=WAIT_SECONDS):
        return mirror.fetch()


def recorded_place(folder: Path) -> str:
    """What a folder is called in records: its address in a store, or its whole path. Raises InputError."""
    return str(ObjectAddress.of(folder) or folder.resolve())


@contextmanager
def local_copy(
    folder: Path, tell: Tell, *, new: bool = False, writes: bool = False, records: bool = False
) -> Iterator[Path]:
    """A folder to work in: `folder` itself, or the copy of what lies in an object store.

    new: whether nothing need be there. writes: whether what changed in it is sent when the block ends well. records: whether
    the records of a build are all that is wanted. Raises StoreError, DiskError, InputError.
    """
    address = ObjectAddress.of(folder)
    if address is None:
        yield folder
        return
    mirror = Mirror(address, "records" if records else "", tell)
    with mirror.held():
        found = mirror.listing()
        if not (found or new):
            raise StoreError(f"{address}: nothing is there; is the address right?")
        if writes:
            mirror.check_writable()
        mirror.pull(found, _is_record if records else lambda _: True)
        yield mirror.root
        if writes:
            tell(f"{mirror.push_all():,} files sent to {address}")


class Mirror:
    """The copy of a folder. part: of several copies on this machine, which tasks have that share the folder."""

    def __init__(self, address: ObjectAddress, part: str = "", tell: Tell = no_word) -> None:
        self.address, self._tell = address, tell
        self._place = cache_folder() / "objects" / hashlib.sha256(f"{address} {part}".encode()).hexdigest()[:20]
        self.root = self._place / address.name
        self._store = ObjectStore(address)
        self._known: dict[str, list[Any]] = {}

    @contextmanager
    def held(self, patience: float = 0.0) -> Iterator[Mirror]:
        """Have the copy alone. Raises FolderInUse if another process has it."""
        with locked(self._place, f"command that works with a copy of {self.address}", patience):
            self._known = self._read_known()
            yield self

    def fetch(self) -> Path:
        """Bring all of it; the folder, or the file of a single object. Raises StoreError if nothing is there."""
        single = self._store.alone()
        found = {"": single} if single else self.listing()
        if not found:
            raise StoreError(f"{self.address}: nothing is there; is the address right?")
        self.pull(found)
        return self.root

    def listing(self) -> Mapping[str, Stored]:
        """What is in the store now, without what a killed command left of its probe."""
        return {name: stored for name, stored in self._store.listing().items() if not name.endswith(TEMPORARY)}

    def pull(self, found: Mapping[str, Stored], wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Fetch what is wanted of all these objects where it changed since; of shards only those with a marker. Remove what
        is gone from the store and was not changed here.
        """
        for name in [name for name in self._known if name not in found]:
            if self._is_same(name):
                self._drop(name)
            del self._known[name]
        shards: dict[str, dict[str, Stored]] = {}
        for name, stored in found.items():
            if wanted(name) and (key := shard_of(name)):
                shards.setdefault(key, {})[name] = stored
        changed = {
            key for key, parts in shards.items() if f"shards/{key}.json" in parts and not self._has_shard(key, parts)
        }
        fetched = {
            name: stored
            for name, stored in found.items()
            if wanted(name) and not self._has(name, stored) and ((key := shard_of(name)) is None or key in changed)
        }
        self._bring({name: stored for name, stored in fetched.items() if not _rank(name)})
        self._bring({name: stored for name, stored in fetched.items() if _rank(name)}, quiet=True)

    def _has_shard(self, key: str, parts: Mapping[str, Stored]) -> bool:
        """Whether the copy has a shard as the store has it, by its marker and all sizes; another one of ours makes room.

        parts: what the store has of it.
        """
        marker = f"shards/{key}.json"
        file, stored = self._file(marker), parts[marker]
        same = self._has(marker, stored) or (file.is_file() and self._store.read(marker) == file.read_bytes())
        if same and self._files_of(key) == {name: one.size for name, one in parts.items() if name != marker}:
            self._note(marker, stored)
            return True
        self._drop(marker)
        return False

    def _files_of(self, key: str) -> dict[str, int]:
        """The files of a shard, all but its marker → bytes."""
        files = (file for file in self._file(f"shards/{key}").rglob("*") if file.is_file())
        sizes = {file.relative_to(self.root).as_posix(): file.stat().st_size for file in files}
        return {name: size for name, size in sizes.items() if _is_whole(name)}

    def _drop(self, name: str) -> None:
        """Remove a file, and with a marker the shard that it stands for."""
        remove(self._file(name))
        if key := shard_of(name):
            shutil.rmtree(self._file(f"shards/{key}"), ignore_errors=True)

    def _has(self, name: str, stored: Stored) -> bool:
        """Whether the copy has an object as the store has it."""
        known = self._known.get(name)
        return known is not None and known[:2] == [stored.size, stored.tag] and self._is_same(name)

    def _bring(self, wanted: Mapping[str, Stored], quiet: bool = False) -> None:
        if not wanted:
            return
        size = sum(stored.size for stored in wanted.values())
        self._check_room(size)
        if not quiet:
            self._tell(f"fetching {len(wanted):,} files, {readable_size(size)}, from {self.address} to {self.root}")
        self._each(list(wanted), lambda name: self._bring_one(name, wanted[name]))

    def _bring_one(self, name: str, stored: Stored) -> None:
        file = self._file(name)
        with replacing(file, durable=False) as temporary:
            self._store.get(name, temporary, stored.size)
        self._note(name, stored)

    def push_all(self) -> int:
        """Send every file that changed since, and remove objects whose files went; how many were sent. Marks of what is whole
        go last. Shards (see `push_shard`), locks and what is half-written are not sent. Raises StoreError, DiskError.
        """
        mine = {file.relative_to(self.root).as_posix() for file in self.root.rglob("*") if file.is_file()}
        changed = sorted((name for name in mine if _is_sent(name) and not self._is_same(name)), key=_rank)
        gone = [name for name in self._known if _is_sent(name) and name not in mine]
        for name in (*gone, *(name for name in changed if _rank(name) and name in self._known)):
            self._store.remove(name)
            del self._known[name]
        for _, together in groupby(changed, _rank):
            self._send(list(together))
        return len(changed)

    def push_shard(self, key: str) -> None:
        """Send a committed shard, its marker last; nothing where the store has the same. Where another task sent other bytes
        meanwhile, or the store's was damaged and made anew here, all of it is sent again.

        key: its number as it stands in names. Raises StoreError, DiskError.
        """
        name, folder = f"shards/{key}.json", f"shards/{key}"
        marker = self._file(name).read_bytes()
        if self.knows(name) and not self._is_same(name):
            self._store.remove(name)
            del self._known[name]
        while (theirs := self._store.read(name)) != marker:
            if theirs is not None:
                self._store.remove(name)
            mine = self._files_of(key)
            for strange in self._store.listing(folder).keys() - mine.keys():
                self._store.remove(strange)
            self._send(sorted(mine))
            self._store.create(name, marker)
        if found := self._store.listing(name).get(name):  # else another task is about to send its own
            self._note(name, found)
        self._write_known()

    def knows(self, name: str) -> bool:
        """Whether a file was the same as its object once."""
        return name in self._known

    def create(self, name: str) -> bool:
        """Send a file if the store has none; False if it has another one."""
        return self._store.create(name, self._file(name).read_bytes())

    def read(self, name: str) -> bytes | None:
        """An object's bytes, past the copy; None if there is none."""
        return self._store.read(name)

    def check_writable(self) -> None:
        """Raises StoreError, DiskError if nothing can be put there, or what is there would be overwritten."""
        probe = f"probe-{secrets.token_hex(6)}{TEMPORARY}"
        self._store.create(probe, b"")
        overwritten = self._store.create(probe, b"2")
        self._store.remove(probe)
        if overwritten:
            raise StoreError(
                f"{self.address}: the store overwrites what is to be put only if nothing is there; it must know "
                "If-None-Match, or Google's ifGenerationMatch"
            )

    def _send(self, names: list[str]) -> None:
        """Send files, and see that they arrived whole."""
        left = names
        for _ in range(CHECKS):
            self._each(left, lambda name: self._store.put(name, self._file(name)))
            found = self._arrived(left)
            arrived = [name for name in left if name in found and found[name].size == self._file(name).stat().st_size]
            for name in arrived:
                self._note(name, found[name])
            left = sorted(set(left) - set(arrived))
            if not left:
                return
        raise DiskError(f"{self.address}: {left[0]} did not arrive whole; run the same command again")

    def _arrived(self, names: list[str]) -> Mapping[str, Stored]:
        """What the store has in the folders of these files."""
        top = os.path.commonpath([Path(name).parent.as_posix() for name in names]) if names else ""
        return self._store.listing("" if top == "." else top)

    def _each(self, names: list[str], work: Callable[[str], None]) -> None:
        """Do something with every file, many at once. Raises the first error."""
        next_word = time.monotonic() + TOLD_SECONDS
        with ThreadPoolExecutor(AT_ONCE) as threads:
            tasks = [threads.submit(work, name) for name in names]
            try:
                for done, task in enumerate(as_completed(tasks), 1):
                    task.result()
                    if time.monotonic() > next_word:
                        next_word += TOLD_SECONDS
                        self._tell(f"{self.address}: {done:,} of {len(names):,} files")
                        self._write_known()
            finally:
                for task in tasks:
                    task.cancel()
                self._write_known()

    def _file(self, name: str) -> Path:
        return self.root / name if name else self.root

    def _is_same(self, name: str) -> bool:
        """Whether a file is what it was when it was the same as its object."""
        known = self._known.get(name)
        try:
            found = self._file(name).stat()
        except OSError:
            return False
        return known is not None and [found.st_size, found.st_mtime_ns] == [known[0], known[2]]

    def _note(self, name: str, stored: Stored) -> None:
        if shard_of(name) is None or _rank(name):
            self._known[name] = [stored.size, stored.tag, self._file(name).stat().st_mtime_ns]

    def _read_known(self) -> dict[str, list[Any]]:
        try:
            found = orjson.loads((self._place / "known.json").read_bytes())
            return {str(name): [int(size), str(tag), int(when)] for name, (size, tag, when) in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write_known(self) -> None:
        write_bytes(self._place / "known.json", orjson.dumps(dict(self._known)), durable=False)

    def _check_room(self, size: int) -> None:
        """Raises DiskError if this many bytes have no room."""
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._place).free
        except OSError as error:
            raise disk_error(self._place, error) from error
        if size > free:
            raise DiskError(
                f"{self._place}: {readable_size(size)} of {self.address} are to be fetched and {readable_size(free)} are "
                "free; name a folder of a larger disk in XDG_CACHE_HOME"
            )


def _rank(name: str) -> int:
    """When a file is sent or fetched: what marks others as whole after them, and what marks all as finished last."""
    if name.rpartition("/")[2].startswith(OURS):
        return 3 if name == MARK else 2
    return int(name.endswith(".json") and shard_of(name) is not None and name.count("/") == 1)


def shard_of(name: str) -> str | None:
    """The number of the shard that a file of a build is in or marks, as it stands in names; None for all else."""
    match = _SHARD.fullmatch(name)
    return match and (match[1] or match[2])


def _is_record(name: str) -> bool:
    return name == "run.json" or (shard_of(name) is not None and name.endswith((".json", ".jsonl")))


def _is_sent(name: str) -> bool:
    return name.partition("/")[0] != "work" and shard_of(name) is None and _is_whole(name)


def _is_whole(name: str) -> bool:
    last = name.rpartition("/")[2]
    return not (last.startswith(LOCK) or last.endswith(TEMPORARY))
