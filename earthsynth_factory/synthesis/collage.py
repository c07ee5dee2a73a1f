"""The composed picture itself as the image: no model, any size, any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from typing_extensions import override

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.synthesis.base import GeneratorSpec, ImageGenerator

VERSION = "1"
"""Part of the fingerprint; raised whenever the pixels change."""


class CollageSpec(GeneratorSpec):
    """What the sources put together, as it is. Every source must give pictures (`pictures: true`)."""

    digital_source: ClassVar[DigitalSource] = DigitalSource.COLLAGE
    needs_pictures: ClassVar[bool] = True
    any_size: ClassVar[bool] = True

    kind: Literal["collage"]
    batch: int = Field(default=8, gt=0, json_schema_extra=NOT_IN_FINGERPRINT)
    """Images to a call."""

    @override
    def card(self, base: Path) -> ModelCard:
        return ModelCard(
            name="collage: real pictures, no model",
            control="palette",
            native_size=512,
            licence="that of the pictures; see the sources",
        )

    @override
    def identity(self, base: Path) -> Mapping[str, str]:
        return {"collage": VERSION}

    @override
    def build(self, context: StageContext) -> CollageGenerator:
        return CollageGenerator(self.batch)


class CollageGenerator(ImageGenerator):
    """See `CollageSpec`."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def open(self) -> None:
        """Nothing to load."""

    @override
    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        return [picture_of(condition) for condition in conditions]

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "collage", "version": VERSION, "device": "cpu", "model": "collage: real pictures, no model"}


def picture_of(condition: Condition) -> Image:
    """The condition's picture (H, W, 3). Raises SourceError if its source gives none."""
    if condition.picture is None:
        raise SourceError(
            f"{condition.origin.source}: gives masks without pictures; set `pictures: true` on the source"
        )
    return condition.picture
