"""What became of slots before their shard was reopened: it stays, whatever is made before them now.

Journals are in slot order. Where a slot in the middle is to go on, the lines from there on are set aside in the shard's
folder, and every slot is recorded again in its turn: a filled one as it is, a given-up one after more attempts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from earthsynth_factory.build.shard_journal import cut_journal, read_records
from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.masters import has_masters
from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord
from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.io.atomic import remove, write_bytes

Record = TypeVar("Record", SampleRecord, RejectRecord)


@dataclass(frozen=True, slots=True)
class Past:
    """What became of a slot. sample: None if it was given up. group: number of the group of candidates that it goes on
    with; rejects: those of the groups before it.
    """

    sample: SampleRecord | None
    rejects: tuple[RejectRecord, ...]
    group: int = 0


NOTHING_YET = Past(None, ())


@dataclass(frozen=True)
class SetAside:
    """The slots of a shard that were settled before it was reopened and are not recorded again yet."""

    samples: dict[int, SampleRecord]
    rejects: dict[int, list[RejectRecord]]

    @classmethod
    def of(cls, layout: ShardLayout) -> SetAside:
        """What is set aside in a shard's folder; nothing as a rule."""
        samples = {record.slot: record for _, record in read_records(layout.earlier_samples, SampleRecord)[0]}
        rejects: dict[int, list[RejectRecord]] = {}
        for _, record in read_records(layout.earlier_rejects, RejectRecord)[0]:
            rejects.setdefault(record.slot, []).append(record)
        return cls({slot: record for slot, record in samples.items() if has_masters(layout, record.stem)}, rejects)

    def past(self, slot: int, candidates: int) -> Past | None:
        """What became of the slot; None if nothing is known. candidates: images of a group."""
        sample, rejects = self.samples.get(slot), self.rejects.get(slot, [])
        if sample:
            return Past(sample, tuple(rejects))
        if not rejects or not rejects[-1].short:
            return None
        group = attempts_of(rejects[-1], candidates) // candidates
        whole = [record for record in rejects if record.attempt < group * candidates]
        return Past(None, tuple(replace(record, short=False) for record in whole), group)


def attempts_of(last: RejectRecord, candidates: int) -> int:
    """Attempts of a slot up to its last record; a condition that could not be drawn used up those of its images."""
    if last.outcome is Outcome.UNDRAWN:
        return (last.attempt // candidates + 1) * candidates
    return last.attempt + 1


def settled_in(layout: ShardLayout) -> int:
    """How many slots of a shard are settled and stay so; cheap, so torn lines are not looked for."""
    recorded = _count(layout.samples, b"\n") + _count(layout.rejects, b'"short":true')
    if not layout.earlier_samples.is_file():
        return recorded
    again = {record.slot for _, record in read_records(layout.samples, SampleRecord)[0]}
    return recorded + sum(slot not in again for slot in SetAside.of(layout).samples)


def _count(path: Path, mark: bytes) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(line.count(mark) for line in file)


def reopen(layout: ShardLayout, slot: int) -> None:
    """Reopen a shard at this slot, and set aside what its journals hold from there on.

    A kill on the way loses nothing: the same call again comes to the same. Raises DiskError.
    """
    samples, rejects = read_records(layout.samples, SampleRecord)[0], read_records(layout.rejects, RejectRecord)[0]
    ends = [record.slot for _, record in samples] + [record.slot for _, record in rejects if record.short]
    _rewrite(layout.earlier_samples, samples, SampleRecord, range(slot, max(ends) + 1))
    _rewrite(layout.earlier_rejects, rejects, RejectRecord, range(slot, max(ends) + 1))
    remove(layout.marker)
    cut_journal(layout, slot)


def _rewrite(path: Path, recorded: list[tuple[bytes, Record]], kind: type[Record], slots: range) -> None:
    """Set aside the recorded lines of these slots; behind them stays what was set aside of later ones."""
    moved = [line for line, record in recorded if record.slot in slots]
    later = [line for line, record in read_records(path, kind)[0] if record.slot >= slots.stop]
    write_bytes(path, b"".join(moved + later))
