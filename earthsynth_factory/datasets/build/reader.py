"""Reads an output folder: its run record, its samples one by one, their pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import PIL.Image

from earthsynth_factory.datasets.build.layout import Layout, ShardLayout
from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import Category, Taxonomy
from earthsynth_factory.errors import SourceError, StoreError
from earthsynth_factory.io.gates import read_below

MEND = "run the same build command again"


@dataclass(frozen=True)
class StoreReader:
    """An output folder of `build`. Raises StoreError where the folder is none, or is damaged."""

    root: Path

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.root)

    @cached_property
    def run(self) -> dict[str, Any]:
        """The run record, `run.json`."""
        path = self.layout.run
        try:
            found = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            raise StoreError(f"{self.root}: no {path.name} here; is it the output folder of a build?") from None
        except ValueError as error:
            raise StoreError(f"{path}: damaged ({error}); run the same build command again to rewrite it") from error
        if not isinstance(found, dict):
            raise StoreError(f"{path}: not a run record")
        return found

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The categories the dataset was made with, in the recipe's spelling."""
        return Taxonomy(tuple(Category(**{**item, "color": tuple(item["color"])}) for item in self.run["taxonomy"]))

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.run["name"])

    @property
    def version(self) -> str:
        """The recipe's fingerprint, shortened."""
        return str(self.run["fingerprint"])[:12]

    @property
    def targets(self) -> frozenset[int]:
        """Ids of the categories that the recipe asks for."""
        return frozenset(self.run["targets"])

    @property
    def count(self) -> int:
        """Images that the recipe asks for."""
        return int(self.run["images"])

    @property
    def splits(self) -> list[str]:
        """Split names in the recipe's order."""
        return list(self.run["splits"])

    def samples(self) -> Iterator[SampleRecord]:
        """Every recorded sample, ascending by slot, one at a time."""
        known, splits = {category.id for category in self.taxonomy}, set(self.splits)

        def check(record: SampleRecord) -> None:
            used = {*record.classes, *(instance.category for instance in record.instances), record.category} - {None}
            if record.split not in splits:
                raise ValueError(f"split {record.split!r}, which run.json does not have")
            if strange := used - known:
                raise ValueError(f"classes {sorted(strange, key=str)}, which run.json does not have")

        last = -1
        for shard in self.layout.present_shards():
            for record in _records(shard.samples, SampleRecord, check):
                if record.slot <= last:
                    raise StoreError(f"{shard.samples}: slot {record.slot} stands twice or out of order; {MEND}")
                last = record.slot
                yield record

    def rejects(self) -> Iterator[RejectRecord]:
        """Every recorded reject, ascending by slot, one at a time."""
        for shard in self.layout.present_shards():
            yield from _records(shard.rejects, RejectRecord, lambda _: None)

    def slots(self) -> Iterator[tuple[int, list[RejectRecord], SampleRecord | None]]:
        """Every slot that has a record, ascending: its number, its rejects, and its sample or None where there is none."""
        both: Iterator[RejectRecord | SampleRecord] = merge(
            self.rejects(), self.samples(), key=lambda record: record.slot
        )
        for slot, records in groupby(both, key=lambda record: record.slot):
            *rejects, last = records
            sample = last if isinstance(last, SampleRecord) else None
            yield slot, [one for one in (*rejects, last) if isinstance(one, RejectRecord)], sample

    @property
    def shards(self) -> tuple[int, int]:
        """How many shards are committed, and how many there are when the build is finished."""
        total = -(-self.count // self.shard_size)
        return sum(self.layout.shard(number).marker.is_file() for number in range(total)), total

    @property
    def shard_size(self) -> int:
        """Slots of a shard."""
        return int(self.run["shard_size"])

    def shard_of(self, record: SampleRecord | RejectRecord) -> ShardLayout:
        """The shard that holds the record."""
        return self.layout.shard(record.slot // self.shard_size)

    def image_path(self, record: SampleRecord) -> Path:
        return self.shard_of(record).image(record.stem)

    def stamp(self, record: SampleRecord) -> str:
        # Sizes alone: equal builds are equal wherever and whenever they were made, and `build` looks after its files.
        masters = self.shard_of(record).masters(record.stem)
        return " ".join(str(path.stat().st_size) if path.is_file() else "-" for path in masters)

    def image(self, record: SampleRecord) -> Image:
        """(H, W, 3) uint8 sRGB."""
        return self._pixels(self.image_path(record), record, ("RGB",), np.uint8)

    def rejected_path(self, record: RejectRecord) -> Path:
        """Where the rejected image is, if the build was to keep it (`--keep-rejects`)."""
        return self.shard_of(record).rejected_image(f"{record.slot:07d}", record.attempt)

    def rejected_image(self, record: RejectRecord) -> Image:
        """(H, W, 3) uint8 sRGB. Raises SourceError where it was not kept."""
        return np.asarray(_read(self.rejected_path(record), self.root).convert("RGB"), dtype=np.uint8)

    def mask(self, record: SampleRecord) -> Mask:
        """(H, W) uint8 class ids."""
        return self._pixels(self.shard_of(record).mask(record.stem), record, ("P", "L"), np.uint8)

    def instances(self, record: SampleRecord) -> InstanceMap:
        """(H, W) uint16 instance ids, those of the record's instances."""
        return self._pixels(self.shard_of(record).instances(record.stem), record, ("I;16", "I"), np.uint16)

    def _pixels(self, path: Path, record: SampleRecord, modes: tuple[str, ...], dtype: type[np.generic]) -> Any:
        """(H, W) or (H, W, 3). Raises SourceError where the file is none of its record's size and kind."""
        image = _read(path, self.root)
        if image.size != (record.width, record.height) or image.mode not in modes:
            width, height = image.size
            raise SourceError(
                f"{path}: {width}×{height} {image.mode} pixels, its record says {record.width}×{record.height} "
                f"{modes[0]}; {MEND}"
            )
        return np.asarray(image, dtype=dtype)


def _records(path: Path, kind: Any, check: Callable[[Any], None]) -> Iterator[Any]:
    """Parsed lines of a journal. A last line without its newline was being written when the run died: it is skipped."""
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = kind.parse(line)
                check(record)
            except ValueError as error:
                raise StoreError(f"{path}:{number}: not a record of this version ({error}); {MEND}") from error
            yield record


def _read(path: Path, root: Path) -> PIL.Image.Image:
    """The decoded PNG. Palette images keep their indices, which are the class ids."""
    try:
        image = PIL.Image.open(read_below(path, root), formats=["PNG"])
        image.load()
    except (OSError, ValueError, SyntaxError, struct.error, zlib.error, PIL.Image.DecompressionBombError) as error:
        raise SourceError(f"{path}: missing or no readable image; {MEND}") from error
    return image
