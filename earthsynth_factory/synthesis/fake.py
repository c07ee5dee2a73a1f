"""A generator that needs no model: it colours the mask and adds grain. For tests and dry lines, never for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from typing_extensions import override

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.synthesis.base import GeneratorSpec, ImageGenerator

VERSION = "1"
"""Part of the fingerprint; raised whenever the pixels change."""


class FakeSpec(GeneratorSpec):
    """Colours of the taxonomy with grain, in place of a model."""

    digital_source: ClassVar[DigitalSource] = DigitalSource.DRAWN

    kind: Literal["fake"]
    grain: float = Field(default=12.0, ge=0, le=100)
    """Standard deviation of the grain, in grey levels of 255."""
    batch: int = Field(default=8, gt=0, json_schema_extra=NOT_IN_FINGERPRINT)
    """Images to a call."""

    @override
    def card(self, base: Path) -> ModelCard:
        return ModelCard(name="fake", control="palette", native_size=512, licence="none: no model was used")

    @override
    def identity(self, base: Path) -> Mapping[str, str]:
        return {"fake": VERSION}

    def build(self, context: StageContext) -> FakeGenerator:
        return FakeGenerator(context.taxonomy, self.grain, self.batch)


class FakeGenerator(ImageGenerator):
    """See `FakeSpec`."""

    def __init__(self, taxonomy: Taxonomy, grain: float, batch: int) -> None:
        self.batch = batch
        self._grain = grain
        self._colors = np.array(taxonomy.palette(), np.float32).reshape(256, 3)

    def open(self) -> None:
        """Nothing to load."""

    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        return [self._paint(condition, seed) for condition, seed in zip(conditions, seeds, strict=True)]

    def _paint(self, condition: Condition, seed: int) -> Image:
        random = rng(seed, "fake")
        tint = random.uniform(0.8, 1.2, 3).astype(np.float32)
        grain = random.standard_normal(condition.mask.shape, np.float32)[..., None] * self._grain
        painted = self._colors[condition.mask] * tint + 24 + grain
        return np.clip(painted, 0, 255).astype(np.uint8)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "fake", "version": VERSION, "device": "cpu"}
