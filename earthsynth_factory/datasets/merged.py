"""Several datasets as one: categories by name, in EarthSynth's ids if it has the name; nothing is copied.

A category of a user's own keeps its id if that is free beyond EarthSynth's, and takes the next free one otherwise; so do
EarthSynth's ids under a foreign name. A stem that is taken gets the dataset's name before it. The first dataset's stems
and ids never give way. Groups of one name stay one group, whichever dataset they come from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import PairRecord, SampleRecord
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.sample import Image, Instance
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, MAX_ID, Category, Taxonomy, earthsynth, normalise
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.stored import StoredFile

_FIRST_OWN: int = max(category.id for category in earthsynth()) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedRecord(SampleRecord):
    """A record with its new ids. part: number of its dataset; own: the record there."""

    name: str
    part: int
    own: SampleRecord

    @property
    def stem(self) -> str:
        return self.name


class CategoryTable:
    """Which id every category of several datasets gets. `notes` are sentences about what was changed.

    Raises InputError if one name is countable here and land cover there, or if ids run out.
    """

    def __init__(self, parts: Sequence[LabelledDataset]) -> None:
        self.notes: list[str] = []
        self._own: dict[str, Category] = {}
        self._from: dict[str, str] = {}
        self.ids = [self._ids_of(part) for part in parts]
        self.taxonomy = earthsynth().extended(self._own.values())

    def _ids_of(self, part: LabelledDataset) -> dict[int, int]:
        found = {BACKGROUND: BACKGROUND}
        for index in sorted(_used(part) - {BACKGROUND}):
            category = part.taxonomy[index]
            settled = earthsynth().find(category.name) or self._own_category(part, category)
            if (settled.id, settled.name) != (category.id, category.name):
                self.notes.append(f"{part.root}: {category.name!r} ({index}) is {settled.name!r} ({settled.id})")
            found[index] = settled.id
        return found

    def _own_category(self, part: LabelledDataset, category: Category) -> Category:
        key = normalise(category.name)
        if key not in self._own:
            self._own[key] = replace(category, id=self._free(part, category))
            self._from[key] = str(part.root)
        elif self._own[key].thing != category.thing:
            kinds = {True: "countable", False: "land cover"}
            raise InputError(
                f"{part.root}: category {category.name!r} is {kinds[category.thing]} here and "
                f"{kinds[not category.thing]} in {self._from[key]}; rename one of them"
            )
        return self._own[key]

    def _free(self, part: LabelledDataset, category: Category) -> int:
        taken = {other.id for other in self._own.values()}
        wanted: list[int] = [category.id] if category.id >= _FIRST_OWN else []
        candidates = (index for index in [*wanted, *range(_FIRST_OWN, MAX_ID + 1)] if index not in taken)
        free: int | None = next(candidates, None)
        if free is None:
            raise InputError(f"{part.root}: no id up to {MAX_ID} is left for category {category.name!r}; merge fewer")
        return free


class Merged:
    """The datasets as one `LabelledDataset`. `notes`: what was given another id or another name."""

    def __init__(self, parts: Sequence[LabelledDataset]) -> None:
        """Raises InputError as `CategoryTable` does."""
        self.parts = tuple(parts)
        self._categories = CategoryTable(parts)
        self._tables = [_table(ids) for ids in self._categories.ids]
        self._stems = _distinct(parts)

    @property
    def root(self) -> Path:
        return self.parts[0].root

    @property
    def name(self) -> str:
        return " + ".join(part.name for part in self.parts)

    @property
    def version(self) -> str:
        return hashlib.blake2b("\n".join(part.version for part in self.parts).encode(), digest_size=6).hexdigest()

    @property
    def taxonomy(self) -> Taxonomy:
        return self._categories.taxonomy

    @property
    def targets(self) -> frozenset[int]:
        pairs = zip(self.parts, self._categories.ids, strict=True)
        return frozenset(ids[target] for part, ids in pairs for target in part.targets)

    @property
    def splits(self) -> list[str]:
        return list(dict.fromkeys(split for part in self.parts for split in part.splits))

    @cached_property
    def count(self) -> int:
        return sum(1 for _ in self.samples())

    @property
    def notes(self) -> list[str]:
        renamed = [
            f"{part.root}: {len(stems)} images were renamed, their names were taken ({_example(stems)})"
            for part, stems in zip(self.parts, self._stems, strict=True)
            if stems
        ]
        return [*self._categories.notes, *renamed]

    def samples(self) -> Iterator[MergedRecord]:
        slot, pairs = 0, _PairIds()
        for number, (part, ids) in enumerate(zip(self.parts, self._categories.ids, strict=True)):
            for record in part.samples():
                renumbered = _renumbered(record, slot, number, self._stems[number].get(record.stem, record.stem), ids)
                yield replace(renumbered, pair=pairs.of(renumbered))
                slot += 1

    def image_file(self, record: SampleRecord) -> StoredFile:
        part, own = self._owner(record)
        return part.image_file(own)

    def stamp(self, record: SampleRecord) -> str:
        part, own = self._owner(record)
        return part.stamp(own)

    def image(self, record: SampleRecord) -> Image:
        part, own = self._owner(record)
        return part.image(own)

    def mask(self, record: SampleRecord) -> Mask:
        part, own = self._owner(record)
        assert isinstance(record, MergedRecord)
        return self._tables[record.part][part.mask(own)]

    def instances(self, record: SampleRecord) -> InstanceMap:
        part, own = self._owner(record)
        return part.instances(own)

    def _owner(self, record: SampleRecord) -> tuple[LabelledDataset, SampleRecord]:
        assert isinstance(record, MergedRecord)
        return self.parts[record.part], record.own


def _used(part: LabelledDataset) -> set[int]:
    """Every id that a mask or an object has, and the targets."""
    found = set(part.targets)
    for record in part.samples():
        found.update(record.classes, (instance.category for instance in record.instances))
    return found


def _table(ids: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    """(256,) id in the dataset → id in the merged one. Ids that do not occur become background."""
    table = np.full(256, BACKGROUND, np.uint8)
    table[IGNORE] = IGNORE
    table[list(ids)] = list(ids.values())
    return table


def _distinct(parts: Sequence[LabelledDataset]) -> list[dict[str, str]]:
    """For each dataset the stems that are taken already → their new ones."""
    taken: set[str] = set()
    renamed: list[dict[str, str]] = []
    for part in parts:
        own = {record.stem for record in part.samples()}
        word = re.sub(r"[^\w-]+", "-", part.name).strip("-") or "dataset"
        changed: dict[str, str] = {}
        for stem in sorted(own & taken):
            prefix = word
            while (new := f"{prefix}-{stem}") in taken or new in own:
                prefix += "-again"
            changed[stem] = new
        taken |= own | set(changed.values())
        renamed.append(changed)
    return renamed


def _example(stems: Mapping[str, str]) -> str:
    old, new = next(iter(stems.items()))
    return f"{old} is {new}"


class _PairIds:
    """Ids of counterfactual pairs that are distinct over all parts: the slot of what is left of a pair's images."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._id = 0

    def of(self, record: MergedRecord) -> PairRecord | None:
        """The record's pair with its new id. The images of a pair follow on one another."""
        if record.pair is None:
            return None
        if self._last != (record.part, record.pair.id):
            self._last, self._id = (record.part, record.pair.id), record.slot
        return replace(record.pair, id=self._id)


def _renumbered(record: SampleRecord, slot: int, part: int, stem: str, ids: Mapping[int, int]) -> MergedRecord:
    def renumbered(instance: Instance) -> Instance:
        return replace(instance, category=ids[instance.category])

    kept = {field.name: getattr(record, field.name) for field in fields(SampleRecord)}
    kept.update(
        slot=slot,
        category=None if record.category is None else ids[record.category],
        classes=tuple(sorted({ids[category] for category in record.classes})),
        instances=tuple(map(renumbered, record.instances)),
        pair=record.pair and _in_new_ids(record.pair, ids),
    )
    return MergedRecord(**kept, name=stem, part=part, own=record)


def _in_new_ids(pair: PairRecord, ids: Mapping[int, int]) -> PairRecord:
    """The pair with its classes' new ids; one that no image shows has none, and keeps its own."""
    instead = None if pair.instead is None else ids.get(pair.instead, pair.instead)
    return replace(pair, category=ids.get(pair.category, pair.category), instead=instead)
