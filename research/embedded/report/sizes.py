"""How much is generated and trained: counts that decide the time, chosen for two CPU cores."""

from __future__ import annotations

from typing import Literal

from earthsynth_factory.domain.spec import Field, Spec
from research.embedded.recipe import SegmenterSpec


class Size(Spec):
    """held_out: masks to generate for (all if there are fewer). share: of the training crops, for usefulness; as many
    images are generated for it. arm: the trainings in the comparison, for each of `seeds`; without seeds there is none."""

    held_out: int = Field(gt=3)
    share: float = Field(gt=0, le=1)
    arm: SegmenterSpec
    seeds: tuple[int, ...]


SizeName = Literal["quick", "images", "full"]

SIZES: dict[SizeName, Size] = {
    "quick": Size(held_out=90, share=0.01, arm=SegmenterSpec(steps=40), seeds=(1, 2, 3)),
    "images": Size(held_out=1000, share=0.1, arm=SegmenterSpec(steps=300), seeds=()),
    "full": Size(held_out=1000, share=0.1, arm=SegmenterSpec(steps=300), seeds=(1, 2, 3)),
}
