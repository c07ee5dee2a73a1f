"""What generators and rules are built with: one object, so that a block takes from it what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.domain.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class StageContext:
    """base: the folder that relative paths of the recipe start from. device: `auto`, `cpu`, `cuda:1`, …

    targets: class ids of the recipe's categories.
    """

    taxonomy: Taxonomy
    targets: Sequence[int]
    base: Path
    device: str = "auto"
