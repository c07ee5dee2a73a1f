"""A dataset seen otherwise, nothing copied: some of its splits, some of its classes, or with other splits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Taxonomy
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.stored import StoredFile


class View:
    """Another dataset as it is. Subclasses change what they are about."""

    def __init__(self, base: LabelledDataset) -> None:
        self.base = base

    @property
    def root(self) -> Path:
        return self.base.root

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def version(self) -> str:
        return self.base.version

    @property
    def taxonomy(self) -> Taxonomy:
        return self.base.taxonomy

    @property
    def targets(self) -> frozenset[int]:
        return self.base.targets

    @property
    def splits(self) -> list[str]:
        return self.base.splits

    @cached_property
    def count(self) -> int:
        """Images that `samples` gives; they are gone through once for it."""
        return sum(1 for _ in self.samples())

    def samples(self) -> Iterator[SampleRecord]:
        return self.base.samples()

    def image_file(self, record: SampleRecord) -> StoredFile:
        return self.base.image_file(record)

    def stamp(self, record: SampleRecord) -> str:
        return self.base.stamp(record)

    def image(self, record: SampleRecord) -> Image:
        return self.base.image(record)

    def mask(self, record: SampleRecord) -> Mask:
        return self.base.mask(record)

    def instances(self, record: SampleRecord) -> InstanceMap:
        return self.base.instances(record)


class OfSplits(View):
    """The images of some splits. Raises InputError for a split that the dataset does not have."""

    def __init__(self, base: LabelledDataset, splits: Collection[str]) -> None:
        super().__init__(base)
        for split in splits:
            if split not in base.splits:
                raise InputError(f"--split {split}: {base.name} has no such split; it has {', '.join(base.splits)}")
        self._chosen = [split for split in base.splits if split in splits]

    @property
    def splits(self) -> list[str]:
        return self._chosen

    def samples(self) -> Iterator[SampleRecord]:
        return (record for record in self.base.samples() if record.split in self._chosen)


class OfClasses(View):
    """Every image with some classes alone: all else becomes background, an image without any of them a negative. What is
    ignored stays so.

    Raises InputError for a name that is no category. Ids stay; captions still tell of the whole image.
    """

    def __init__(self, base: LabelledDataset, names: Sequence[str]) -> None:
        super().__init__(base)
        self._chosen = frozenset(base.taxonomy.named(name).id for name in names)
        wanted = self._chosen | {BACKGROUND}
        self._taxonomy = Taxonomy(tuple(category for category in base.taxonomy if category.id in wanted))
        self._table = np.array([index if index in self._chosen else BACKGROUND for index in range(256)], np.uint8)
        self._table[IGNORE] = IGNORE

    @property
    def taxonomy(self) -> Taxonomy:
        return self._taxonomy

    @property
    def targets(self) -> frozenset[int]:
        return self._chosen

    def samples(self) -> Iterator[SampleRecord]:
        for record in self.base.samples():
            yield replace(
                record,
                category=record.category if record.category in self._chosen else None,
                classes=tuple(category for category in record.classes if category in self._chosen),
                instances=tuple(instance for instance in record.instances if instance.category in self._chosen),
            )

    def mask(self, record: SampleRecord) -> Mask:
        return self._table[self.base.mask(record)]

    def instances(self, record: SampleRecord) -> InstanceMap:
        numbers = self.base.instances(record)
        kept = np.isin(numbers, [instance.id for instance in record.instances])
        return np.where(kept, numbers, 0).astype(np.uint16)


def of_labels(dataset: LabelledDataset) -> LabelledDataset:
    """A build with its targets alone if its recipe says `labels: {classes: targets}`; anything else as it is.

    Classes that were chosen already stay chosen.
    """
    seen: LabelledDataset = dataset
    while isinstance(seen, View):
        if isinstance(seen, OfClasses):
            return dataset
        seen = seen.base
    labels = seen.run.recipe.get("labels", {}) if isinstance(seen, BuildReader) else {}
    if labels.get("classes") != "targets":
        return dataset
    return OfClasses(dataset, [category.name for category in seen.taxonomy if category.id in seen.targets])


class Resplit(View):
    """The same images in other splits. split_of: group → split, of every group; splits: their names, in order."""

    def __init__(self, base: LabelledDataset, split_of: Mapping[str, str], splits: Sequence[str]) -> None:
        super().__init__(base)
        self._split_of = split_of
        self._splits = list(splits)

    @property
    def splits(self) -> list[str]:
        return self._splits

    def samples(self) -> Iterator[SampleRecord]:
        for record in self.base.samples():
            yield replace(record, split=self._split_of[record.origin.group])
