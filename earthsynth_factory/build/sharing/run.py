"""`build --shard`: one task's share of a build, in a folder that it shares with other tasks, of this machine or of others."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earthsynth_factory.build.filling import Listeners, Watch, fill_shards
from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.preflight import check
from earthsynth_factory.build.run_record import record_for, resume_or_create
from earthsynth_factory.build.set_aside import settled_in
from earthsynth_factory.build.shards import Resumed, ShardTask
from earthsynth_factory.build.sharing.share import Share
from earthsynth_factory.build.topup import is_settled
from earthsynth_factory.datasets.build.layout import WHOLE, BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.run_record import RunRecord
from earthsynth_factory.errors import FolderInUse
from earthsynth_factory.io.atomic import create_bytes, json_bytes, write_changed
from earthsynth_factory.io.claim import Claim, check_claim
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.lease import leased, leases, live_leases
from earthsynth_factory.recipe.load import LoadedRecipe


@dataclass(frozen=True)
class ShareResult:
    """What became of a share. done: its shards that are committed, of `own`; left: those of the whole folder that are not."""

    share: Share
    own: int
    done: int
    left: int
    notes: tuple[str, ...]


def build_share(
    loaded: LoadedRecipe,
    out: Path,
    share: Share,
    *,
    keep_rejects: bool = False,
    watch: Watch = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> ShareResult:
    """Fill the shards of a share, then those of others whose tasks are dead. Arguments and errors as of `build`.

    Shards that a live task has are left to it. No lock is taken. Raises FolderInUse if a build of the whole folder is at
    work.
    """
    for line_to_read in check(loaded, out, building=True):
        warn(line_to_read)
    given = record_for(loaded, Pipeline.of(loaded.recipe, loaded.base, "cpu"))
    return fill_share(loaded, out, share, given, keep_rejects=keep_rejects, watch=watch, tell=tell)


def fill_share(
    loaded: LoadedRecipe,
    out: Path,
    share: Share,
    given: RunRecord,
    *,
    keep_rejects: bool,
    watch: Watch,
    tell: Callable[[str], None],
) -> ShareResult:
    """As `build_share`, of a recipe that was checked. given: what its build is, if none was begun in the folder."""
    out = out.resolve()  # workers of a cluster begin in other folders
    layout, record = BuildLayout(out), _join(loaded, out, given)
    plan, me = Plan.of(loaded.recipe, record.earlier), secrets.token_hex(6)
    log = layout.work / f"{me}.log"
    task = ShardTask(loaded.recipe, loaded.base, out, plan, record.shard_size, keep_rejects, log, shared=True)
    work = _ShareOfWork(task, share)
    notes: list[str] = []
    if todo := work.open_shards() or work.left_behind():
        if WHOLE in live_leases(write_below(layout.work, out), WHOLE):
            raise FolderInUse(f"{out}: another build is at work on the whole folder; wait for it, then run this again")
        watch(Resumed(work.settled(), work.slots()))
        layout.work.mkdir(exist_ok=True)
        listeners = Listeners(watch, tell, lambda facts: _describe(layout, facts))
        with _seen_by_workers(task, me) as task_of_all:
            sessions = layout.work / f"{me}.sessions.jsonl"
            notes = fill_shards(task_of_all, work.shards(todo), len(todo), sessions, listeners)
    own = share.of(task.shards)
    return ShareResult(share, len(own), len(own) - len(work.open_shards()), work.left(), tuple(notes))


@contextmanager
def _seen_by_workers(task: ShardTask, me: str) -> Iterator[ShardTask]:
    """The task, for workers that are on other machines with a lease of our own as its witness: as long as we live, shards are
    given out.
    """
    if task.recipe.engine.kind == "local":
        yield task
        return
    with leased(BuildLayout(task.out).work, f"caller{me}") as lease:
        assert lease, "nobody else knows its name"
        yield replace(task, witness=lease.path)


@dataclass(frozen=True)
class _ShareOfWork:
    """The shards of a task that are a share's."""

    task: ShardTask
    share: Share

    @property
    def _layout(self) -> BuildLayout:
        return BuildLayout(self.task.out)

    def is_settled(self, number: int) -> bool:
        """Whether nothing is to be done at a shard any more."""
        return is_settled(self._layout.shard(number), self.task.slots(number), self.task.recipe.rfilter)

    def open_shards(self) -> list[int]:
        """The share's shards at which something is to be done."""
        return [number for number in self.share.of(self.task.shards) if not self.is_settled(number)]

    def left(self) -> int:
        """How many shards of the whole folder are not settled: one listing tells as long as markers are missing."""
        missing = self.task.shards - self._layout.markers()
        return missing if missing > 0 else sum(not self.is_settled(number) for number in range(self.task.shards))

    def slots(self) -> int:
        """How many slots the share has."""
        return sum(len(self.task.slots(number)) for number in self.share.of(self.task.shards))

    def settled(self) -> int:
        """How many of them are settled in shards that were put in place."""
        return sum(settled_in(self._layout.shard(number)) for number in self.share.of(self.task.shards))

    def left_behind(self) -> list[int]:
        """Shards, of whatever share, that dead tasks began and did not end."""
        held, live = leases(self._layout.work), live_leases(self._layout.work)
        if WHOLE in live:
            return []
        begun = {int(key) for key in held if key.isdigit()} | self._layout.private_shards().keys()
        open_ones = sorted(begun - {int(key) for key in live if key.isdigit()})
        return [number for number in open_ones if number < self.task.shards and not self.is_settled(number)]

    def shards(self, todo: list[int]) -> Iterator[int]:
        """What is to be done, then what is left behind when that is."""
        yield from todo
        yield from (number for number in self.left_behind() if number not in todo)


def _join(loaded: LoadedRecipe, out: Path, given: RunRecord) -> RunRecord:
    """The record of the folder, which whoever came first has written. Raises StoreError if it is another build's."""
    layout = BuildLayout(out)
    check_claim(out, "build", {}, ours=layout.run.is_file())
    resume_or_create(out, given)
    Claim(out, "build", {}).begin()
    for path, data in ((layout.run, json_bytes(given.plain())), (layout.recipe, loaded.text.encode())):
        with suppress(FileExistsError):
            if not path.is_file():
                create_bytes(path, data)
    record = resume_or_create(out, given)  # of another recipe, if its task was quicker
    if record.asked != BuildReader(out).run.asked:
        write_changed(layout.run, json_bytes(record.plain()))
        write_changed(layout.recipe, loaded.text.encode())
    return record


def _describe(layout: BuildLayout, facts: dict[str, Any]) -> None:
    """Write down what the models are, unless another task did."""
    record = BuildReader(layout.root).run
    if not record.described:
        write_changed(layout.run, json_bytes(record.with_line(facts).plain()))
