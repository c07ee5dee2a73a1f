"""The journal of one shard: what is settled, in slot order, so that a run can die at any moment and go on.

A slot is settled when it has a line in `samples.jsonl`, or a last line marked `short` in `rejects.jsonl`. Lines are
written in the order of the slots, rejects before the sample: so the first unsettled slot tells where to go on, and
whatever lies behind it is redone to the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import orjson

from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord, to_line
from earthsynth_factory.domain.sample import Candidate, Sample, Slot, Verdict
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import disk_error, write_bytes, write_json
from earthsynth_factory.io.jsonl import append_line, whole_lines
from earthsynth_factory.io.png import encode_mask, encode_png


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a slot: its sample, or None where it stays empty; and everything that was not kept on the way."""

    slot: Slot
    sample: SampleRecord | None
    rejects: tuple[RejectRecord, ...]

    def as_short(self) -> Outcome:
        """This outcome with its last reject marked as the end of a slot that stays empty."""
        *earlier, last = self.rejects
        return replace(self, rejects=(*earlier, replace(last, short=True)))


class ShardJournal:
    """Writes one shard. There is one writer for a shard; `put_pixels` may be called from several threads."""

    def __init__(self, layout: ShardLayout, slots: range, taxonomy: Taxonomy) -> None:
        self._layout = layout
        self._slots = slots
        self._taxonomy = taxonomy
        self.next_slot = slots.start
        self.accepted = 0
        self._samples: IO[bytes] | None = None
        self._rejects: IO[bytes] | None = None

    def open(self) -> None:
        """Find where to go on, cut off what a killed run left half-written, and open for appending."""
        layout = self._layout
        try:
            layout.root.mkdir(parents=True, exist_ok=True)
            for leftover in layout.root.rglob(".*.tmp"):
                leftover.unlink()
        except OSError as error:
            raise disk_error(layout.root, error) from error
        samples = list(whole_lines(layout.samples))
        rejects = list(whole_lines(layout.rejects))
        settled = {SampleRecord.parse(line).slot for line in samples}
        self.accepted = len(samples)
        settled |= {record.slot for record in map(RejectRecord.parse, rejects) if record.short}
        self.next_slot = next((slot for slot in self._slots if slot not in settled), self._slots.stop)
        if settled and max(settled) > self.next_slot:
            raise StoreError(
                f"{layout.root}: slot {self.next_slot} is missing though later ones are recorded; the journal was "
                f"edited. Move the folder {layout.root.name} away and run the same command to remake it"
            )
        _rewrite(layout.samples, samples)
        _rewrite(layout.rejects, [line for line in rejects if RejectRecord.parse(line).slot < self.next_slot])
        self._samples, self._rejects = layout.samples.open("ab"), layout.rejects.open("ab")

    def put_pixels(self, sample: Sample) -> None:
        """Write image, mask and instance map of a sample, each whole or not at all."""
        candidate = sample.candidate
        stem, condition = candidate.slot.stem, candidate.condition
        write_bytes(self._layout.image(stem), encode_png(candidate.image))
        write_bytes(self._layout.mask(stem), encode_mask(condition.mask, self._taxonomy))
        write_bytes(self._layout.instances(stem), encode_png(sample.labels.instance_map))

    def put_rejected(self, candidate: Candidate) -> None:
        """Keep the image of a rejected candidate."""
        write_bytes(self._layout.rejected_image(candidate.slot.stem, candidate.attempt), encode_png(candidate.image))

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes whose pixels are on disk; they must follow on `next_slot` without a gap."""
        assert self._samples and self._rejects, "the journal is not open"
        for place, outcome in enumerate(outcomes, start=self.next_slot):
            assert outcome.slot.index == place, "slots are settled in order"
        rejects = b"".join(to_line(record) for outcome in outcomes for record in outcome.rejects)
        samples = [to_line(outcome.sample) for outcome in outcomes if outcome.sample]
        append_line(self._rejects, rejects, self._layout.rejects)
        append_line(self._samples, b"".join(samples), self._layout.samples)
        self.next_slot += len(outcomes)
        self.accepted += len(samples)

    def close(self) -> None:
        """Close the files; when every slot is settled, write the commit marker."""
        for file in (self._samples, self._rejects):
            try:
                if file:
                    file.close()
            except OSError as error:  # a line that did not go onto a full disk is tried once more by `close`
                raise disk_error(self._layout.root, error) from error
        if self.next_slot == self._slots.stop and self._samples:
            write_json(self._layout.marker, self._marker())

    def _marker(self) -> dict[str, object]:
        files = sorted(path for path in self._layout.root.rglob("*") if path.is_file())
        total = hashlib.sha256()
        for path in files:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.relative_to(self._layout.root).as_posix()} {digest}\n".encode())
        return {
            "slots": [self._slots.start, self._slots.stop],
            "accepted": self.accepted,
            "short": len(self._slots) - self.accepted,
            "files": len(files),
            "sha256": total.hexdigest(),
        }


def reject_record(candidate: Candidate, verdict: Verdict, reasons: Sequence[str]) -> RejectRecord:
    """The journal line of a candidate that was not kept."""
    return RejectRecord(
        slot=candidate.slot.index,
        category=candidate.slot.category,
        attempt=candidate.attempt,
        reasons=tuple(reasons),
        scores={name: round(score.value, 6) for name, score in verdict.scores.items()},
        condition_seed=candidate.condition.seed,
        image_seed=candidate.image_seed,
    )


def read_marker(layout: ShardLayout) -> dict[str, int]:
    """Counts of a committed shard. Raises StoreError where the marker is damaged."""
    try:
        return dict(orjson.loads(layout.marker.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{layout.marker}: damaged; delete this one file and run the same command again") from error


def _rewrite(path: Path, lines: Sequence[bytes]) -> None:
    """Make the file hold exactly these lines, touching it only where it differs."""
    data = b"".join(lines)
    if not path.is_file() or path.stat().st_size != len(data):
        write_bytes(path, data)
