"""Which classes are learnt and judged: those of the real images; synthetic labels must meet at least one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.merged import MergedRecord
from earthsynth_factory.domain.taxonomy import BACKGROUND, Taxonomy
from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation.members import COMPARED, SYNTHETIC, TEST, TRAIN, Members
from earthsynth_factory.evaluation.spec import Task

IGNORE = 255
"""In masks of columns: a pixel that says nothing."""


@dataclass(frozen=True)
class Classes:
    """ids: the category of column 1, 2, …; column 0 is background. names: of the same. judged: columns that the test
    split holds. rare: the third of the judged columns that fewest real training images hold."""

    ids: tuple[int, ...]
    names: tuple[str, ...]
    judged: tuple[int, ...]
    rare: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Columns, background's among them."""
        return len(self.ids) + 1

    def table(self, unknown: int = 0) -> npt.NDArray[np.uint8]:
        """(256,) category id → column. `unknown`: what background and every other category becomes."""
        found = np.full(256, unknown, np.uint8)
        found[list(self.ids)] = np.arange(1, self.count)
        found[IGNORE] = IGNORE
        return found


def held(record: SampleRecord, task: Task) -> set[int]:
    """Categories that the image counts for: of its objects if objects are sought, else of its pixels."""
    if task == "detect":
        return {instance.category for instance in record.instances}
    return set(record.classes) - {BACKGROUND}


def evaluated_classes(members: Members, task: Task) -> Classes:
    """Raises InputError if the classes of the parts do not meet, or there is nothing to tell apart."""
    counts = {part: _count(records, task) for part, records in members.records.items()}
    ids = tuple(sorted(counts[TRAIN].keys() | counts[TEST].keys()))
    taxonomy, real = members.dataset.taxonomy, members.dataset.root
    thing = "objects" if task == "detect" else "classes"
    if not counts[TEST]:
        raise InputError(f"{real}: the test split holds no {thing}; there is nothing to judge")
    if task == "classify" and len(ids) < 2:
        raise InputError(f"{real}: one class only ({_names(ids, taxonomy)}); a classifier needs two to tell apart")
    if task == "segment" and len(ids) < 2 and not _has_background(members):
        raise InputError(
            f"{real}: one class only ({_names(ids, taxonomy)}), and no pixel is anything else; prepare more"
        )
    notes = []
    for part in (SYNTHETIC, COMPARED):
        if members.records[part]:
            _must_meet(part, counts, ids, taxonomy)
            notes += list(_differences(part, counts, ids, taxonomy))
    judged = [place + 1 for place, index in enumerate(ids) if counts[TEST][index]]
    by_rarity = sorted(judged, key=lambda column: (counts[TRAIN][ids[column - 1]], column))
    rare = tuple(sorted(by_rarity[: len(judged) // 3]))
    return Classes(ids, tuple(taxonomy[index].name for index in ids), tuple(judged), rare, tuple(notes))


def _count(records: Iterable[MergedRecord], task: Task) -> Counter[int]:
    """Category → images."""
    counts = Counter[int]()
    for record in records:
        counts.update(held(record, task))
    return counts


def _must_meet(part: str, counts: Mapping[str, Counter[int]], ids: tuple[int, ...], taxonomy: Taxonomy) -> None:
    if not counts[part].keys() & set(ids):
        raise InputError(
            f"the classes do not meet: the real images have {_names(ids, taxonomy)}, the {part} ones "
            f"{_names(sorted(counts[part]), taxonomy)}; name them alike (`prepare --map`), or make others"
        )


def _differences(
    part: str, counts: Mapping[str, Counter[int]], ids: tuple[int, ...], taxonomy: Taxonomy
) -> Iterable[str]:
    lacking = [index for index in ids if not counts[part][index]]
    foreign = sorted(counts[part].keys() - set(ids))
    if lacking:
        yield f"the {part} images have no {_names(lacking, taxonomy)}"
    if foreign:
        yield f"the {part} images' {_names(foreign, taxonomy)} are no class here: the real images have none"


def _has_background(members: Members) -> bool:
    return any((members.dataset.mask(record) == BACKGROUND).any() for record in members.records[TRAIN])


def _names(ids: Iterable[int], taxonomy: Taxonomy) -> str:
    return ", ".join(taxonomy[index].name for index in ids) or "none"
