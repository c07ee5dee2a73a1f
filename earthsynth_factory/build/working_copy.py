"""A build whose output folder lies in an object store: made in a local copy, each shard sent once it is committed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from earthsynth_factory.build.sharing.share import Share
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import FactoryError, StoreError
from earthsynth_factory.io.claim import MARK
from earthsynth_factory.io.log import LOGGER
from earthsynth_factory.io.mirror import Mirror, shard_of
from earthsynth_factory.io.objects import ObjectAddress

SEND_SECONDS = 1.0
"""Committed shards are looked for this often."""


class WorkingCopy:
    """Where to build. folder: the output folder itself, or a local copy of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def left(self, here: int) -> int:
        """How many shards of the whole folder are not committed; if none is, `folder` has all of them when this returns.

        here: how many lack by what this machine knows.
        """
        return here


class _CopyOfObjects(WorkingCopy):
    def __init__(self, mirror: Mirror, share: Share | None) -> None:
        super().__init__(mirror.root)
        self._mirror, self._share = mirror, share
        self._layout = BuildLayout(mirror.root)
        self._sent: set[tuple[str, bytes]] = set()
        self._joined = False
        self._one_sends = threading.Lock()

    def fetch(self) -> None:
        """Bring what the store has of the share's shards, and of all if there is no share.

        Raises StoreError if it holds something else, or nothing may be written there.
        """
        found = self._mirror.listing()
        if found and not {MARK, "run.json"} & found.keys():
            raise StoreError(
                f"{self._mirror.address}: not empty and no build of ours; choose another folder with --out"
            )
        self._mirror.check_writable()
        self._mirror.pull(found, self._is_wanted)

    def _is_wanted(self, name: str) -> bool:
        key = shard_of(name)
        if self._share is None:
            return not name.startswith("work/")
        if key is None:
            return name in (MARK, "run.json", "recipe.yaml")
        return (int(key) - self._share.number + 1) % self._share.count == 0

    def left(self, here: int) -> int:
        if self._share is None or not self._layout.run.is_file():
            return here
        self.send_shards()
        found = self._mirror.listing()
        total = BuildReader(self.folder).shards[1]
        missing = total - sum(name.count("/") == 1 and shard_of(name) is not None for name in found)
        if not missing:
            self._mirror.pull(found, lambda name: shard_of(name) is not None or self._is_wanted(name))
        return max(0, missing)

    def send_shards(self) -> None:
        """Send what is committed and not sent yet; first of all what says which build this is."""
        if not (self._layout.run.is_file() and self._layout.recipe.is_file()):
            return
        with self._one_sends:
            self._send_shards()

    def _send_shards(self) -> None:
        self._check_same_build()
        for marker in sorted(self._layout.shards.glob("*.json")):
            key, data = shard_of(f"shards/{marker.name}"), marker.read_bytes()
            if key and (key, data) not in self._sent:
                self._mirror.push_shard(key)
                self._sent.add((key, data))

    def _check_same_build(self) -> None:
        """Raises StoreError if another task has begun another build there meanwhile."""
        if self._joined:
            return
        for name in (MARK, "recipe.yaml"):
            self._mirror.create(name)
        ours = self._mirror.create("run.json") or self._mirror.knows("run.json")
        if not ours and self._fingerprint_there() != BuildReader(self.folder).run.fingerprint:
            raise StoreError(f"{self._mirror.address}: another build was begun there meanwhile; choose another --out")
        self._joined = True

    def _fingerprint_there(self) -> object:
        """What the store's run record names; None if it is none."""
        try:
            found = orjson.loads(self._mirror.read("run.json") or b"")
        except ValueError:
            return None
        return found.get("fingerprint") if isinstance(found, dict) else None

    def send_all(self) -> None:
        """Send everything; of a share its shards alone, for the folder is another task's to finish."""
        self.send_shards()
        if self._share is None or (self.folder / "report").is_dir():
            self._mirror.push_all()


@contextmanager
def working_copy(out: Path, share: Share | None, tell: Callable[[str], None]) -> Iterator[WorkingCopy]:
    """Where to build `out`, which may be an address in an object store; what was made is sent while and after the block runs.

    Raises StoreError, DiskError, InputError.
    """
    address = ObjectAddress.of(out)
    if address is None:
        yield WorkingCopy(out)
        return
    mirror = Mirror(address, str(share or ""), tell)
    with mirror.held():
        copy = _CopyOfObjects(mirror, share)
        copy.fetch()
        with _sending(copy):
            yield copy
        copy.send_all()
        tell(f"sent to {address}; the copy in {mirror.root} may be removed")


@contextmanager
def _sending(copy: _CopyOfObjects) -> Iterator[None]:
    """Send shards from a thread as they are committed. What cannot be sent now is tried again, at the latest at the end."""
    ended = threading.Event()

    def send() -> None:
        told = ""
        while not ended.wait(SEND_SECONDS):
            try:
                copy.send_shards()
            except (FactoryError, OSError) as error:
                if str(error) != told:
                    told = str(error)
                    LOGGER.warning("shards wait to be sent: %s", error)

    thread = threading.Thread(target=send, daemon=True, name="sending")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
