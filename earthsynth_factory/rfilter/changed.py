"""Is there anything new in the image? For images that began as pictures: pixels put in, or others than the picture's.

A dataset source with an edit that did nothing gives the real picture back: a copy, which teaches nothing and leaks. Ours.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.rfilter.base import Measures, PixelRule, RuleSpec


class ChangedSpec(RuleSpec):
    """An image made from a picture must differ from it."""

    threshold: ClassVar[str] = "min_share"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_share"})
    kind: Literal["changed"]
    levels: int = Field(default=4, ge=0, le=254)
    """A pixel counts as changed if a channel differs from the picture's by more than this, of 255."""
    min_share: float = Field(default=0.002, ge=0, le=1)
    """Least share of the pixels that were put in or changed."""

    def build(self, context: StageContext) -> Changed:
        return Changed(self, context)


class Changed(PixelRule):
    """See `ChangedSpec`. The value is the share of new pixels; the rule does not apply to an image without a picture."""

    _spec: ChangedSpec
    primary: ClassVar[str] = "share"

    def look(self, candidate: Candidate) -> Measures:
        condition = candidate.condition
        if condition.picture is None or condition.changed is None:
            return {}
        away = np.abs(candidate.image.astype(np.int16) - condition.picture).max(axis=2)
        new = condition.changed | (away > self._spec.levels)
        return {"share": float(new.mean())}

    @override
    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        return f"{measures['share']:.2%} of the pixels are new (least {least:.2%}): a copy of its picture"
