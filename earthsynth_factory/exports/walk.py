"""Going through a dataset once, and which of its classes an export has to number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.views import OfSplits
from earthsynth_factory.domain.condition import Origin
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.taxonomy import BACKGROUND, Category
from earthsynth_factory.exports.base import Progress
from earthsynth_factory.io.georeference import transform_of


class Walk:
    """Every sample once, in slot order, counted by split as it is done with."""

    def __init__(self, store: LabelledDataset, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._done: Counter[str] = Counter()

    def __iter__(self) -> Iterator[SampleRecord]:
        for record in self._store.samples():
            yield record
            self._done[record.split] += 1
            self._progress(1)

    @property
    def counts(self) -> dict[str, int]:
        """Split → images, in the dataset's order of splits."""
        return {split: self._done[split] for split in self._store.splits}


def every_split(store: LabelledDataset) -> LabelledDataset:
    """The dataset with all its splits: exported apart or together, they number the same classes alike."""
    return store.base if isinstance(store, OfSplits) else store


def object_classes(store: LabelledDataset) -> list[Category]:
    """The categories of the objects in any split, and countable targets of which there are none; ascending by id."""
    found = {instance.category for record in every_split(store).samples() for instance in record.instances}
    wanted = {category for category in store.targets if store.taxonomy[category].thing}
    return [store.taxonomy[category] for category in sorted(found | wanted)]


def image_classes(store: LabelledDataset) -> list[Category]:
    """The categories that occur in any image of any split, and the targets, without background; ascending by id."""
    found = {category for record in every_split(store).samples() for category in record.classes} | store.targets
    return [store.taxonomy[category] for category in sorted(found - {BACKGROUND})]


def origin_fields(origin: Origin) -> dict[str, Any]:
    """Where an image lies on the ground, `crs` and `transform` as six numbers (column, row → x, y), and what a real one was
    cut from: `source_file`, its `nodata` (a number, or a text for one that JSON lacks), the `bands` that are shown as red,
    green, blue, and `datetime`. What is not known is not there.
    """
    return {name: read(str(origin.detail[name])) for name, read in _FIELDS.items() if name in origin.detail}


def _number(text: str) -> float | str:
    return float(text) if math.isfinite(float(text)) else text


_FIELDS: Mapping[str, Callable[[str], Any]] = {
    "crs": str,
    "transform": transform_of,
    "source_file": str,
    "nodata": _number,
    "bands": lambda text: [int(band) for band in text.split()],
    "datetime": str,
}


def crowd(instance: Instance) -> bool:
    """Whether the mask stands for a number of objects that nobody counted."""
    return "crowd" in instance.flags


def difficult(instance: Instance) -> bool:
    """Whether evaluation shall pass over it, as it does over what is difficult and over crowds."""
    return crowd(instance) or "difficult" in instance.flags
