"""How much is generated and trained: counts that decide the time, chosen for two CPU cores."""

from __future__ import annotations

from typing import Literal

from earthsynth_factory.domain.spec import Field, Spec


class Size(Spec):
    """held_out: masks to generate for (all if there are fewer). share: of the training crops, for usefulness; as many
    images are generated for it. rounds: seeds of the evaluation that judges them; without any there is none. budget: what
    differs from its quick budget."""

    held_out: int = Field(gt=3)
    share: float = Field(gt=0, le=1)
    rounds: int = Field(ge=0)
    budget: dict[str, int] = Field(default_factory=dict)


SizeName = Literal["quick", "images", "full"]

SIZES: dict[SizeName, Size] = {
    "quick": Size(held_out=90, share=0.01, rounds=3, budget={"steps": 40}),
    "images": Size(held_out=1000, share=0.1, rounds=0),
    "full": Size(held_out=1000, share=0.1, rounds=8),
}
