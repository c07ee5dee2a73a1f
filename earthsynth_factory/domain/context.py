"""What generators and rules are built with: one object, so that a block takes from it what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from earthsynth_factory.domain.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class StageContext:
    """base: the folder that relative paths of the recipe start from. device: `auto`, `cpu`, `cuda:1`, …

    targets: class ids of the recipe's categories. limits: kind of a rule → category (None: all without one of their own)
    → least value in place of the recipe's, as calibration learnt it.
    """

    taxonomy: Taxonomy
    targets: Sequence[int]
    base: Path
    device: str = "auto"
    limits: Mapping[str, Mapping[int | None, float]] = field(default_factory=dict)
