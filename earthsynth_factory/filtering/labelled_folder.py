"""Labelled images as the filter sees them, whoever wrote their folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from earthsynth_factory.domain.condition import Condition, InstanceMap, Mask, Origin
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.sample import Candidate, Image, Slot
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.compact import Texts
from earthsynth_factory.io.stored import StoredFile


@dataclass(frozen=True)
class LabelledImage:
    """One labelled image. name: unique in its folder. files: its own, the image first, perhaps in a tar. load raises
    SourceError.

    split: as published, empty if nothing is said.
    """

    name: str
    files: tuple[StoredFile, ...]
    load: Callable[[], Candidate]
    split: str = ""

    def stamp(self) -> str:
        """Changes when one of its files does."""
        return ";".join(f"{file.place.name} {file.stamp() if file.is_file() else '-'}" for file in self.files)

    @property
    def places(self) -> tuple[Path, ...]:
        """Of its files; of those in a tar as if that were a folder."""
        return tuple(file.place for file in self.files)


@dataclass(frozen=True)
class LabelledFolder:
    """An opened folder. recognised: what it was taken for and why. faults: what could not even be listed."""

    path: Path
    kind: str
    recognised: str
    taxonomy: Taxonomy
    targets: tuple[int, ...]
    entries: Sequence[LabelledImage]
    faults: list[str] = field(default_factory=list)

    @cached_property
    def names(self) -> Sequence[str]:
        """Of the entries, in their order."""
        return Texts(entry.name for entry in self.entries)


def candidate(image: Image, mask: Mask, numbers: InstanceMap | None, taxonomy: Taxonomy, origin: str) -> Candidate:
    """A real image as the rules see one. Its class is the largest countable one in the mask, else the largest.

    Raises SourceError if image, mask and numbers contradict one another.
    """
    if image.shape[:2] != mask.shape:
        raise SourceError(f"{origin}: the image has {image.shape[:2]} rows and columns, its mask {mask.shape}")
    strange = [one for one in present_classes(mask) if one not in taxonomy]
    if strange:
        raise SourceError(f"{origin}: its mask has the ids {strange}, which no category has")
    try:
        condition = Condition(
            mask=mask,
            instances=np.zeros_like(mask, np.uint16) if numbers is None else numbers,
            prompt="",
            metres_per_pixel=0.0,
            seed=0,
            origin=Origin(origin, origin),
            known_instances=numbers is not None,
        )
    except ValueError as error:
        raise SourceError(str(error)) from error
    return Candidate(Slot(0, _main_class(mask, taxonomy), "train", 0), 0, 0, condition, image)


def _main_class(mask: Mask, taxonomy: Taxonomy) -> int | None:
    counts, present = np.bincount(mask.ravel()), present_classes(mask)
    things = [one for one in present if taxonomy[one].thing]
    return max(things or present, key=lambda one: counts[one], default=None)
