"""Reads an output folder: its run record, its samples one by one, their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.layout import BuildLayout, ShardLayout, shard_count
from earthsynth_factory.datasets.build.masters import Masters, masters
from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord
from earthsynth_factory.datasets.build.run_record import RunRecord, read_record
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import SourceError, StoreError
from earthsynth_factory.io.bounded import open_regular
from earthsynth_factory.io.gates import read_below
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.jsonl import placed_records, records
from earthsynth_factory.io.rgb import read_rgb
from earthsynth_factory.io.stored import StoredFile

REMEDY = "move the shard's folder and its .json away and run the same build command to make it anew"
"""What helps where a committed shard is damaged."""

Pixels = TypeVar("Pixels", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class BuildReader:
    """An output folder of `build`. Raises StoreError if the folder is none, or is damaged."""

    root: Path

    @cached_property
    def layout(self) -> BuildLayout:
        return BuildLayout(self.root)

    @cached_property
    def run(self) -> RunRecord:
        """The run record, `run.json`."""
        return read_record(self.layout.run)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The categories the dataset was made with, in the recipe's spelling."""
        return Taxonomy(self.run.taxonomy)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.run.name

    @property
    def version(self) -> str:
        """The recipe's fingerprint, shortened."""
        return self.run.fingerprint[:12]

    @property
    def targets(self) -> frozenset[int]:
        """Ids of the categories that the recipe asks for."""
        return frozenset(self.run.targets)

    @property
    def count(self) -> int:
        """Images that the recipe asks for."""
        return self.run.images

    @property
    def splits(self) -> list[str]:
        """Split names in the recipe's order."""
        return list(self.run.splits)

    def samples(self) -> Iterator[SampleRecord]:
        """Every recorded sample, ascending by slot, one at a time."""
        return (record for _, _, record in self.placed_samples())

    def placed_samples(self) -> Iterator[tuple[ShardLayout, int, SampleRecord]]:
        """As `samples`, each with its shard and where its line begins there, in bytes; see `sample_at`."""
        last = -1
        for shard in self.layout.present_shards():
            for start, record in placed_records(shard.samples, self._checked, REMEDY):
                if record.slot <= last:
                    raise StoreError(f"{shard.samples}: slot {record.slot} stands twice or out of order; {REMEDY}")
                last = record.slot
                yield shard, start, record

    def sample_at(self, shard: ShardLayout, start: int) -> SampleRecord:
        """The sample whose line begins there. Raises StoreError if the journal was changed since it was looked through."""
        try:
            with open_regular(shard.samples) as lines:
                lines.seek(start)
                return self._checked(lines.readline())
        except (OSError, ValueError) as error:
            raise StoreError(f"{shard.samples}: was changed while it was read ({error}); {REMEDY}") from error

    def _checked(self, line: bytes) -> SampleRecord:
        record = SampleRecord.parse(line)
        used = {*record.classes, *(instance.category for instance in record.instances), record.category} - {None}
        if record.split not in self.run.splits:
            raise ValueError(f"split {record.split!r}, which run.json does not have")
        if strange := used - self._known:
            raise ValueError(f"classes {sorted(strange, key=str)}, which run.json does not have")
        return record

    @cached_property
    def _known(self) -> frozenset[int | None]:
        return frozenset(category.id for category in self.taxonomy)

    def rejects(self) -> Iterator[RejectRecord]:
        """Every recorded reject, ascending by slot, one at a time."""
        for shard in self.layout.present_shards():
            yield from records(shard.rejects, RejectRecord.parse, REMEDY)

    def slots(self) -> Iterator[tuple[int, list[RejectRecord], SampleRecord | None]]:
        """Every slot that has a record, ascending: its number, its rejects, and its sample or None if there is none."""
        both: Iterator[RejectRecord | SampleRecord] = merge(
            self.rejects(), self.samples(), key=lambda record: record.slot
        )
        for slot, of_slot in groupby(both, key=lambda record: record.slot):
            *rejects, last = of_slot
            sample = last if isinstance(last, SampleRecord) else None
            yield slot, [one for one in (*rejects, last) if isinstance(one, RejectRecord)], sample

    @property
    def shards(self) -> tuple[int, int]:
        """How many shards are committed, and how many there are when the build is finished."""
        total = shard_count(self.count, self.shard_size)
        return sum(self.layout.shard(number).marker.is_file() for number in range(total)), total

    @property
    def shard_size(self) -> int:
        """Slots of a shard."""
        return self.run.shard_size

    def shard_of(self, record: SampleRecord | RejectRecord) -> ShardLayout:
        """The shard that holds the record."""
        return self.layout.shard(record.slot // self.shard_size)

    def masters(self, record: SampleRecord) -> Masters:
        """Image, mask and instance map, as files or in a tar; they may be missing."""
        return masters(self.shard_of(record), record.stem)

    def image_file(self, record: SampleRecord) -> StoredFile:
        """The image's file, which may be missing. Raises SourceError if a link leads out of the dataset."""
        image, _, _ = self.masters(record)
        return self._within(image) if image.path.exists() else image

    def stamp(self, record: SampleRecord) -> str:
        # Sizes alone: equal builds are equal wherever and whenever they were made, and `build` looks after its files.
        return " ".join(str(file.size) if file.is_file() else "-" for file in self.masters(record))

    def image(self, record: SampleRecord) -> Image:
        """(H, W, 3) uint8 sRGB."""
        image, _, _ = self.masters(record)
        return self._of_size(self._read(read_rgb, image), image, record)

    def rejected_path(self, record: RejectRecord) -> Path:
        """Where the rejected image is, if the build was to keep it (`--keep-rejects`)."""
        return self.shard_of(record).rejected_image(f"{record.slot:07d}", record.attempt)

    def rejected_image(self, record: RejectRecord) -> Image:
        """(H, W, 3) uint8 sRGB. Raises SourceError if it was not kept."""
        return self._read(read_rgb, StoredFile(self.rejected_path(record)))

    def mask(self, record: SampleRecord) -> Mask:
        """(H, W) uint8 class ids."""
        _, mask, _ = self.masters(record)
        return self._ids(mask, record, 255).astype(np.uint8)

    def instances(self, record: SampleRecord) -> InstanceMap:
        """(H, W) uint16 instance ids, those of the record's instances."""
        _, _, instances = self.masters(record)
        return self._ids(instances, record, 0xFFFF)

    def _ids(self, file: StoredFile, record: SampleRecord, most: int) -> InstanceMap:
        ids = self._of_size(self._read(read_ids, file), file, record)
        if ids.max(initial=0) > most:
            raise SourceError(f"{file}: has ids beyond {most}; {REMEDY}")
        return ids

    def _read(self, read: Callable[[StoredFile], Pixels], file: StoredFile) -> Pixels:
        try:
            return read(self._within(file))
        except SourceError as error:
            raise SourceError(f"{error}; or {REMEDY}") from error

    def _within(self, file: StoredFile) -> StoredFile:
        """The file. Raises SourceError if it is missing or a link leads out of the dataset; a tar's index told that."""
        if file.member is None:
            read_below(file.path, self.root)
        return file

    def _of_size(self, pixels: Pixels, file: StoredFile, record: SampleRecord) -> Pixels:
        """The pixels. Raises SourceError if they are of another size than the record says."""
        if pixels.shape[:2] != (record.height, record.width):
            height, width = pixels.shape[:2]
            raise SourceError(
                f"{file}: {width}×{height} pixels, its record says {record.width}×{record.height}; {REMEDY}"
            )
        return pixels
