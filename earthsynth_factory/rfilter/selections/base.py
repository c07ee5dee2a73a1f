"""The contract of a selection, and what it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.errors import InputError

KINDS = {
    "duplicates": "earthsynth_factory.rfilter.selections.duplicates:DuplicatesSpec",
    "informative": "earthsynth_factory.rfilter.selections.informative:InformativeSpec",
    "top": "earthsynth_factory.rfilter.selections.top:TopSpec",
    "diverse": "earthsynth_factory.rfilter.selections.diverse:DiverseSpec",
}
"""Selections that ship: kind → spec class. A new one is a file and a line here."""

Bools = npt.NDArray[np.bool_]


class ImageVectors(Protocol):
    """(N, D) float32 unit vectors, in memory or on the disk; a row of NaN if one is missing."""

    def __getitem__(self, places: Any, /) -> npt.NDArray[np.float32]:
        """(D,) of one place, (n, D) of an array of places."""
        ...


@dataclass(frozen=True, eq=False)
class Prints:
    """What tells images apart. names: (N,). digests: (N,) of the pixels. hashes: (N,) uint64 perceptual hashes.

    vectors: of CLIP, None if no rule looked with CLIP.
    """

    names: Sequence[str]
    digests: Sequence[str]
    hashes: npt.NDArray[np.uint64]
    vectors: ImageVectors | None


@dataclass(frozen=True, eq=False)
class Gathered:
    """Every image of a run, N of them. categories: (N,) class ids, None without. values: rule → (N,) values, NaN if
    not measured. real: the images that a run was calibrated on, None without.
    """

    prints: Prints
    categories: Sequence[int | None]
    values: Mapping[str, npt.NDArray[np.float64]]
    real: Prints | None = None

    def __len__(self) -> int:
        return len(self.categories)

    def groups(self, standing: Bools) -> dict[int | None, npt.NDArray[np.int64]]:
        """Class → places of the images still in, ascending."""
        codes = np.array([-1 if category is None else category for category in self.categories], np.int16)
        found = {int(code): np.flatnonzero(standing & (codes == code)) for code in np.unique(codes[standing])}
        return {None if code < 0 else code: places for code, places in found.items()}

    def values_of(self, rule: str, kind: str) -> npt.NDArray[np.float64]:
        """The rule's values. Raises InputError if no such rule was asked."""
        if rule not in self.values:
            raise InputError(f"{kind}: by {rule!r}, but no such rule is asked; there are {', '.join(self.values)}")
        return self.values[rule]


class SelectionSpec(Spec, ABC):
    """The block of a selection. Subclasses add `kind: Literal[...]` and `select`."""

    kind: str

    @abstractmethod
    def select(self, gathered: Gathered, standing: Bools) -> Mapping[int, str]:
        """Place → reason of the images that go. standing: (N,) which are still in; only those may be named.

        A pure function of its arguments: equal scores give equal choices. Raises InputError.
        """
