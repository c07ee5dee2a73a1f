"""The contract of an export format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.store.dataset import LabelledDataset

KINDS = {
    "coco": "earthsynth_factory.exports.coco:CocoSpec",
    "semantic": "earthsynth_factory.exports.semantic:SemanticSpec",
}
"""Formats that ship: kind → spec class. A new one is a file and a line here."""

Progress = Callable[[int], None]
"""Called with the number of samples written since the last call."""


@dataclass(frozen=True)
class ExportSummary:
    """What was written. counts: split → images. notes: sentences a user should read (what a format cannot hold)."""

    kind: str
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


class ExportSpec(Spec, ABC):
    """The block of an export format. Subclasses add `kind: Literal[...]`, their knobs, and `write`."""

    kind: str

    @abstractmethod
    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        """Write the whole store in this format into the empty folder `out`, streaming: memory stays flat.

        The caller makes `out` a temporary folder and renames it when this returns.
        """
