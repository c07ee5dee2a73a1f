"""The task an engine runs for `build`: fill one shard after another with one line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.set_aside import NOTHING_YET, Past, SetAside, settled_in
from earthsynth_factory.build.shard_journal import ShardJournal, SlotResult
from earthsynth_factory.build.sharing.private_shard import private_shard
from earthsynth_factory.build.topup import is_settled
from earthsynth_factory.build.worker import Worker
from earthsynth_factory.datasets.build.layout import BuildLayout, ShardLayout, shard_count, shard_slots
from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.engines.base import Report
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.lock import locked
from earthsynth_factory.io.log import LOGGER, log_into
from earthsynth_factory.recipe.schema import Recipe

ORPHAN_SECONDS = 20.0
"""How long a shard's lock is waited for; only a worker of a build that was killed can have it."""


@dataclass(frozen=True, slots=True)
class SlotSettled:
    """What a worker reports of each slot.

    images: how many were made for it. passed: how many of these every rule passed. reasons: why they were not kept.
    """

    slot: int
    category: int | None
    split: str
    accepted: bool
    images: int
    passed: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """What a worker reports once its models are loaded: `Pipeline.describe`; and again after a shard, with what was noted."""

    facts: dict[str, object]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a build reports first. settled: slots that earlier sessions settled, and that stay so; of: all there are."""

    settled: int
    of: int


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A shard that another task left behind is gone on with. settled: its slots that were settled there."""

    shard: int
    settled: range


@dataclass(frozen=True, slots=True)
class Denoised:
    """What a worker reports on the way through a batch: its steps that are done, and those there are."""

    done: int
    steps: int


BuildEvent = Resumed | TakenOver | WorkerReady | Denoised | SlotSettled


@dataclass(frozen=True)
class ShardTask:
    """Fills shards of one output folder. Picklable: every worker builds its own line from the recipe.

    log: file for warnings. shared: whether other tasks, of this machine or of others, fill shards of the same folder.
    witness: of a cluster, a file of the caller's in the folder, which all workers must see; the log is each machine's own.
    """

    recipe: Recipe
    base: Path
    out: Path
    plan: Plan
    shard_size: int
    keep_rejects: bool
    log: Path
    shared: bool = False
    witness: Path | None = None

    @property
    def shards(self) -> int:
        """How many there are."""
        return shard_count(len(self.plan), self.shard_size)

    def slots(self, number: int) -> range:
        """Those of a shard."""
        return shard_slots(number, self.shard_size, len(self.plan))

    def open(self, device: str, report: Report) -> Callable[[int, threading.Event], bool]:
        self._check_folder()
        log_into(self.log.with_stem(f"{self.log.stem}-{socket.gethostname()}") if self.witness else self.log)
        pipeline = Pipeline.of(self.recipe, self.base, device)
        pipeline.generator.on_step = lambda done, steps: report(Denoised(done, steps))
        pipeline.open()
        LOGGER.info("models are ready on %s", device)
        report(WorkerReady(pipeline.describe()))
        fill = self._fill_private if self.shared else self._fill_locked
        return lambda number, stop: fill(pipeline, number, report, stop)

    def _check_folder(self) -> None:
        """Raises StoreError on a machine that sees another folder, or none, under the build's path."""
        if self.witness and not self.witness.is_file():
            raise StoreError(
                f"{self.out}: is not the folder that the build was started in; all machines must share it, at the same path"
            )

    def _fill_locked(self, pipeline: Pipeline, number: int, report: Report, stop: threading.Event) -> bool:
        layout = BuildLayout(self.out).shard(number)
        # A worker whose parent was killed may still be at this shard for a moment: it dies of that, and its lock with it.
        with locked(write_below(layout.root, self.out), "build", patience=ORPHAN_SECONDS):
            self._fill(pipeline, number, layout, report, stop)
        return True

    def _fill_private(self, pipeline: Pipeline, number: int, report: Report, stop: threading.Event) -> bool:
        layout, slots, rfilter = BuildLayout(self.out), self.slots(number), self.recipe.rfilter
        with private_shard(layout, number, slots, rfilter) as mine:
            if mine is not None:
                if taken_over := settled_in(mine):
                    report(TakenOver(number, slots[:taken_over]))
                self._fill(pipeline, number, mine, report, stop)
        return is_settled(layout.shard(number), slots, rfilter)

    def _fill(
        self, pipeline: Pipeline, number: int, layout: ShardLayout, report: Report, stop: threading.Event
    ) -> None:
        slots, source = self.slots(number), pipeline.recipe.synthesis.digital_source
        aside = SetAside.of(layout)
        journal = ShardJournal(layout, slots, pipeline.taxonomy, source, pipeline.recipe.packs)
        journal.open()

        def past(slot: int) -> Past | None:
            return aside.past(slot, self.recipe.rfilter.candidates)

        def settled(outcome: SlotResult) -> None:
            before = past(outcome.slot.index) or NOTHING_YET
            if before.sample is None:  # else it was told of by the session that made it
                report(_settled(outcome, len(before.rejects)))

        try:
            todo = (self.plan.slot(index) for index in range(journal.next_slot, slots.stop))
            worker = Worker(
                pipeline,
                todo,
                journal,
                settled,
                past=past,
                keep_rejects=self.keep_rejects,
                writers=self.recipe.engine.writers,
            )
            worker.run(stop)
        finally:
            journal.close()
            LOGGER.info(
                "shard %s: slots %d to %d, settled up to %d", number, slots.start, slots.stop, journal.next_slot
            )
        if notes := tuple(pipeline.generator.notes()):
            report(WorkerReady(pipeline.describe(), notes))


def _settled(outcome: SlotResult, before: int) -> SlotSettled:
    """before: how many of its rejects are of before its shard was reopened."""
    slot, kept, rejects = outcome.slot, outcome.sample is not None, outcome.rejects[before:]
    made = kept + sum(record.made for record in rejects)
    passed = kept + sum(record.passed for record in rejects)
    reasons = tuple(reason for record in rejects for reason in record.reasons)
    return SlotSettled(slot.index, slot.category, slot.split, kept, made, passed, reasons)
