"""One slot's whole way, on one page.

A slot is filled from groups of candidates. A group is one condition with `candidates` images made for it; the best that
every rule passes becomes the slot's sample. If none passes, a group with the next condition follows, until `max_attempts`
images were made.
What a slot becomes depends on the recipe, the models and the slot alone, so slots may be worked on together and in any
order: threads draw conditions ahead, the generator takes full batches from whatever groups are open, a thread judges,
others write. The journal alone is kept in slot order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.set_aside import NOTHING_YET, Past
from earthsynth_factory.build.shard_journal import ShardJournal, SlotResult, reject_record
from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord, undrawn
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Candidate, Slot, Verdict
from earthsynth_factory.errors import Interrupted, NoCondition

AHEAD_BATCHES = 3
"""Groups with a condition drawn or being drawn, in batches: the generator must never wait for a mask."""

UNSETTLED_BATCHES = 32
"""Slots in work or waiting for an earlier slot to settle, in batches: bounds what a slow slot can hold up."""


SETTLE_SECONDS = 0.25
"""Seconds between recordings of outcomes: each time the disk is waited for, and a kill costs what was not recorded."""


@dataclass(eq=False)
class CandidateGroup:
    """Images of one condition for a slot. number: of the condition; past: what earlier groups of the slot rejected."""

    slot: Slot
    number: int
    attempts: range
    past: list[RejectRecord]
    condition: Future[Condition] = field(default_factory=Future)
    judged: list[tuple[Candidate, Verdict]] = field(default_factory=list)


class Worker:
    """Fills the slots of one shard. `settled` is called, in slot order, with every outcome once it is on disk.

    past: what became of the slot of a number before its shard was reopened.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        slots: Iterator[Slot],
        journal: ShardJournal,
        settled: Callable[[SlotResult], None],
        *,
        past: Callable[[int], Past | None] = lambda _: None,
        keep_rejects: bool = False,
        writers: int = 2,
    ) -> None:
        self._pipeline = pipeline
        self._slots = slots
        self._journal = journal
        self._settled = settled
        self._past = past
        self._keep_rejects = keep_rejects
        self._draw = ThreadPoolExecutor(2, "draw")
        self._judge = ThreadPoolExecutor(1, "judge")
        self._write = ThreadPoolExecutor(writers, "write")
        self._requests: deque[tuple[CandidateGroup, int]] = deque()
        self._judging: set[Future[list[CandidateGroup]]] = set()
        self._outcomes: dict[int, Future[SlotResult]] = {}
        self._unsettled = 0
        self._next_settling = 0.0
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Settle every slot; once `stop` is set, only what is already in progress. Raises what a stage raises."""
        self._stop = stop
        try:
            while not stop.is_set() and self._step():
                pass
            self._collect(wait_for_all=True)
            self._settle(wait_for_all=True)
        finally:
            for pool in (self._draw, self._judge, self._write):
                pool.shutdown(wait=True, cancel_futures=True)

    def _step(self) -> bool:
        """Open slots, make one batch of images, take in what was judged. False when every slot is settled."""
        self._open_slots()
        batch = self._take_batch()
        if batch:
            groups, attempts = zip(*batch, strict=True)
            drawn = [group.condition.result() for group in groups]
            candidates = self._pipeline.synthesise([group.slot for group in groups], attempts, drawn)
            self._judging.add(self._judge.submit(self._judged, groups, candidates))
        self._collect(wait_for_all=False, block=not batch)
        self._settle(wait_for_all=not (batch or self._requests or self._judging))
        return bool(self._requests or self._judging or self._unsettled or self._open_slots())

    def _open_slots(self) -> bool:
        """Begin new slots while there is room; False if there was none to begin."""
        size, opened = self._pipeline.generator.batch, False
        while len(self._requests) < AHEAD_BATCHES * size and self._unsettled < UNSETTLED_BATCHES * size:
            slot = next(self._slots, None)
            if slot is None:
                break
            opened = True
            self._unsettled += 1
            self._go_on(slot, self._past(slot.index) or NOTHING_YET)
        return opened

    def _go_on(self, slot: Slot, past: Past) -> None:
        """Begin the slot where it was left: as it is if it was filled, else with its next candidates."""
        if past.sample is None:
            self._begin(slot, past.group, list(past.rejects))
        else:
            self._outcomes[slot.index] = known = Future[SlotResult]()
            known.set_result(SlotResult(slot, past.sample, past.rejects))

    def _begin(self, slot: Slot, number: int, past: list[RejectRecord]) -> None:
        """Begin the slot's group of this number, or end the slot if its attempts are used up."""
        rfilter = self._pipeline.recipe.rfilter
        first = number * rfilter.candidates
        group = CandidateGroup(slot, number, range(first, min(first + rfilter.candidates, rfilter.max_attempts)), past)
        if not group.attempts:
            self._end(slot, None, past)
            return
        group.condition = self._draw.submit(self._pipeline.draw, slot, number, self._stop.is_set)
        self._requests.extend((group, attempt) for attempt in group.attempts)

    def _take_batch(self) -> list[tuple[CandidateGroup, int]]:
        """The next requests whose conditions could be drawn. A short batch only if nothing could still fill it, or `stop`
        is set: one condition after another may be drawn in vain.
        """
        size = self._pipeline.generator.batch
        batch: list[tuple[CandidateGroup, int]] = []
        while self._requests and len(batch) < size and not self._stop.is_set():
            group, attempt = self._requests.popleft()
            try:
                group.condition.result()
                batch.append((group, attempt))
            except NoCondition as error:
                self._without_condition(group, str(error))
            except Interrupted:
                break
        if len(batch) < size and self._judging:
            self._requests.extendleft(reversed(batch))
            return []
        return batch

    def _without_condition(self, group: CandidateGroup, reason: str) -> None:
        while self._requests and self._requests[0][0] is group:
            self._requests.popleft()
        reject = undrawn(group.slot, group.attempts.start, reason)
        self._begin(group.slot, group.number + 1, [*group.past, reject])

    def _judged(self, groups: Sequence[CandidateGroup], candidates: Sequence[Candidate]) -> list[CandidateGroup]:
        """Judge a batch; the groups that are complete with it."""
        for group, candidate, verdict in zip(groups, candidates, self._pipeline.judge(candidates), strict=True):
            group.judged.append((candidate, verdict))
            if self._keep_rejects and not verdict.kept:
                self._journal.put_rejected(candidate)
        return [group for group in dict.fromkeys(groups) if len(group.judged) == len(group.attempts)]

    def _collect(self, wait_for_all: bool, block: bool = False) -> None:
        """Decide the groups whose judgement has come in; wait for one of them if told to `block`."""
        if self._judging and (wait_for_all or block):
            wait(self._judging, return_when="ALL_COMPLETED" if wait_for_all else FIRST_COMPLETED)
        for future in [future for future in self._judging if future.done()]:
            self._judging.remove(future)
            for group in future.result():
                self._decide(group)

    def _decide(self, group: CandidateGroup) -> None:
        """Keep the best of a group's candidates that every rule passed (of equals the first), or try again."""
        kept = [pair for pair in group.judged if pair[1].kept]
        best = max(kept, key=lambda pair: (pair[1].rank, -pair[0].attempt), default=None)
        rejects = group.past + [
            reject_record(candidate, verdict, len(group.judged))
            for candidate, verdict in group.judged
            if best is None or candidate is not best[0]
        ]
        if best is None:
            self._begin(group.slot, group.number + 1, rejects)
        else:
            self._end(group.slot, best, rejects)

    def _end(self, slot: Slot, best: tuple[Candidate, Verdict] | None, rejects: list[RejectRecord]) -> None:
        self._outcomes[slot.index] = self._write.submit(self._written, slot, best, rejects)

    def _written(self, slot: Slot, best: tuple[Candidate, Verdict] | None, rejects: list[RejectRecord]) -> SlotResult:
        """Label and write the sample. The outcome holds no pixels, so slots may wait for their turn in the journal."""
        if best is None:
            return SlotResult(slot, None, tuple(rejects)).as_short()
        sample = self._pipeline.label(*best)
        self._journal.put_pixels(sample)
        return SlotResult(slot, SampleRecord.of(sample), tuple(rejects))

    def _settle(self, wait_for_all: bool) -> None:
        """Record the outcomes that follow on the journal without a gap; optionally wait until they are written. Now and then
        alone if not: the disk is waited for.
        """
        if not wait_for_all and time.monotonic() < self._next_settling:
            return
        ready: list[SlotResult] = []
        while (future := self._outcomes.get(self._journal.next_slot + len(ready))) is not None:
            if not (wait_for_all or future.done()):
                break
            ready.append(future.result())
        if ready:
            self._journal.settle(ready)
        for outcome in ready:
            del self._outcomes[outcome.slot.index]
            self._settled(outcome)
        self._unsettled -= len(ready)
        self._next_settling = time.monotonic() + SETTLE_SECONDS
