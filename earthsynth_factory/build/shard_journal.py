"""The journal of one shard: what is settled, in slot order, so that a run can die at any moment and go on.

A slot is settled when it has a line in `samples.jsonl`, or a last line marked `short` in `rejects.jsonl`. Lines are
written in the order of the slots, rejects before the sample: so the first unsettled slot tells where to go on, and
whatever lies behind it is redone to the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from earthsynth_factory.build.masters_writer import MastersWriter, masters_writer
from earthsynth_factory.datasets.build.layout import ShardLayout, master_names
from earthsynth_factory.datasets.build.marker import FileFacts, marker_of
from earthsynth_factory.datasets.build.masters import has_masters
from earthsynth_factory.datasets.build.records import Record, RejectRecord, SampleRecord, parsed, to_line
from earthsynth_factory.domain.outcome import NOT_BEST, Outcome, Reason
from earthsynth_factory.domain.sample import Candidate, Sample, Slot, Verdict
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import disk_error, remove, sweep, write_bytes, write_json
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.jsonl import append_line, open_to_append, whole_lines
from earthsynth_factory.io.png import encode_mask, encode_png
from earthsynth_factory.io.provenance import DigitalSource


@dataclass(frozen=True, eq=False)
class SlotResult:
    """What became of a slot: its sample, or None if it stays empty; and everything that was not kept on the way."""

    slot: Slot
    sample: SampleRecord | None
    rejects: tuple[RejectRecord, ...]

    def as_short(self) -> SlotResult:
        """This result with its last reject marked as the end of a slot that stays empty."""
        *earlier, last = self.rejects
        return replace(self, rejects=(*earlier, replace(last, short=True)))


class ShardJournal:
    """Writes one shard. There is one writer for a shard; `put_pixels` may be called from several threads."""

    def __init__(
        self, layout: ShardLayout, slots: range, taxonomy: Taxonomy, source: DigitalSource, pack: bool = False
    ) -> None:
        """source: how the images came to be. pack: whether a shard that is begun is to be packed."""
        self._layout = layout
        self._slots = slots
        self._taxonomy, self._source, self._pack = taxonomy, source, pack
        self.next_slot = slots.start
        self._stems: list[str] = []
        self._masters: MastersWriter | None = None
        self._written: dict[str, FileFacts] = {}
        self._samples: IO[bytes] | None = None
        self._rejects: IO[bytes] | None = None

    def open(self) -> None:
        """Find where to go on, cut off what a killed run left half-written, and open for appending."""
        layout = self._layout
        _clear(layout)
        samples, damaged = read_records(layout.samples, SampleRecord)
        rejects, damaged_too = read_records(layout.rejects, RejectRecord)
        ends = [record.slot for _, record in samples]
        ends += [record.slot for _, record in rejects if record.short]
        first = _first_open(layout, self._slots, ends, damaged or damaged_too)
        self.next_slot = next((record.slot for _, record in samples if not has_masters(layout, record.stem)), first)
        self._stems = [record.stem for _, record in samples if record.slot < self.next_slot]
        cut_journal(layout, self.next_slot)
        aside = [record.stem for _, record in read_records(layout.earlier_samples, SampleRecord)[0]]
        self._masters = masters_writer(layout, [*self._stems, *aside], self._pack)
        self._samples, self._rejects = open_to_append(layout.samples), open_to_append(layout.rejects)

    def put_pixels(self, sample: Sample) -> None:
        """Write image, mask and instance map of a sample, each whole or not at all; `settle` sees them onto the disk."""
        assert self._masters, "the journal is not open"
        candidate = sample.candidate
        image = encode_png(candidate.image, source=self._source)
        mask = encode_mask(candidate.condition.mask, self._taxonomy)
        pngs = image, mask, encode_png(sample.labels.instance_map)
        self._masters.put(candidate.slot.stem, pngs)
        self._written.update(zip(master_names(candidate.slot.stem), map(FileFacts.of, pngs), strict=True))

    def put_rejected(self, candidate: Candidate) -> None:
        """Keep the image of a rejected candidate."""
        path = self._layout.rejected_image(candidate.slot.stem, candidate.attempt)
        write_bytes(path, encode_png(candidate.image, source=self._source))

    def settle(self, outcomes: Sequence[SlotResult]) -> None:
        """Record outcomes whose pixels are written; they must follow on `next_slot` without a gap. Best many at a time: the
        disk is waited for.
        """
        assert self._samples and self._rejects and self._masters, "the journal is not open"
        following = range(self.next_slot, self.next_slot + len(outcomes))
        assert [outcome.slot.index for outcome in outcomes] == list(following), "slots are settled in order"
        rejects = b"".join(to_line(record) for outcome in outcomes for record in outcome.rejects)
        samples = [outcome.sample for outcome in outcomes if outcome.sample]
        stems = [sample.stem for sample in samples]
        self._masters.flush(stems)
        append_line(self._rejects, rejects, self._layout.rejects)
        append_line(self._samples, b"".join(map(to_line, samples)), self._layout.samples)
        self._stems += stems
        self.next_slot = following.stop

    def close(self) -> None:
        """Close the files; when every slot is settled, write the commit marker."""
        for file in (self._samples, self._rejects, self._masters):
            try:
                if file:
                    file.close()
            except OSError as error:  # a line that did not go onto a full disk is tried once more by `close`
                raise disk_error(self._layout.root, error) from error
        if self.next_slot == self._slots.stop and self._samples and self._masters:
            for path in (self._layout.earlier_samples, self._layout.earlier_rejects):
                remove(path)  # all that was set aside is recorded
            self._masters.seal(self._stems)
            marker = marker_of(self._layout, self._slots, len(self._stems), self._written)
            write_json(self._layout.marker, asdict(marker))


def reject_record(candidate: Candidate, verdict: Verdict, made: int) -> RejectRecord:
    """The journal line of a candidate that was not kept. made: images of its condition, of which another was better."""
    spare = Reason(NOT_BEST, f"another of the {made} images of its condition was better")
    return RejectRecord(
        slot=candidate.slot.index,
        category=candidate.slot.category,
        attempt=candidate.attempt,
        outcome=Outcome.SPARE if verdict.kept else Outcome.REJECTED,
        reasons=(spare,) if verdict.kept else tuple(verdict.reasons),
        scores={name: round(score.value, 6) for name, score in verdict.scores.items()},
        condition_seed=candidate.condition.seed,
        image_seed=candidate.image_seed,
    )


def _clear(layout: ShardLayout) -> None:
    """Make the shard's folder, and remove what a killed run left half-written in it."""
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(layout.root, error) from error
    sweep_shard(layout)


def sweep_shard(layout: ShardLayout) -> None:
    """Remove what a killed run left half-written in a shard. Raises StoreError if a folder of it is a link."""
    for folder in (layout.root, *layout.folders):
        sweep(write_below(folder, layout.dataset))


def _first_open(layout: ShardLayout, slots: range, settled: Sequence[int], damaged: bool) -> int:
    """The first slot that is not settled. Raises StoreError if one stands twice, or later ones are settled.

    damaged: whether lines were left out because they could not be read, so that gaps are no wonder.
    """
    known = set(settled)
    first = next((slot for slot in slots if slot not in known), slots.stop)
    gap = known and max(known) > first and not damaged
    fault = f"slot {first} is missing though later ones are recorded" if gap else None
    if len(known) < len(settled):
        fault = f"slot {next(slot for slot in settled if settled.count(slot) > 1)} is recorded twice"
    if fault:
        raise StoreError(
            f"{layout.root}: {fault}; the journal was edited. Move the folder {layout.root.name} away and run the same "
            "command to remake it"
        )
    return first


def read_records(path: Path, kind: type[Record]) -> tuple[list[tuple[bytes, Record]], bool]:
    """Lines of a journal with their records, and whether there was one that cannot be read: what is behind it is made
    again. A torn last line is none.
    """
    found: list[tuple[bytes, Record]] = []
    for line in whole_lines(path):
        try:
            found.append((line, parsed(line, kind)))
        except ValueError:  # a power cut may leave a block of zeros
            return found, True
    return found, False


def cut_journal(layout: ShardLayout, slot: int) -> None:
    """Leave in the journals what is recorded of the slots before this one; they are touched only if that differs."""
    samples = [line for line, record in read_records(layout.samples, SampleRecord)[0] if record.slot < slot]
    rejects = [line for line, record in read_records(layout.rejects, RejectRecord)[0] if record.slot < slot]
    for path, lines in ((layout.samples, samples), (layout.rejects, rejects)):
        data = b"".join(lines)
        if not path.is_file() or path.is_symlink() or path.stat().st_size != len(data):
            write_bytes(path, data)
