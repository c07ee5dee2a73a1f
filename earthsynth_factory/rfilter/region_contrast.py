"""Is the target inside its mask rather than outside? CLIP on the region alone against CLIP on the rest.

Inside: the square around the region, all else painted in the image's mean colour. Outside: the image, the region painted
over. The target's caption must fit the first better, by its lead over the backgrounds. Ours; EarthSynth publishes no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.rfilter.base import Measures
from earthsynth_factory.rfilter.clip_rule import ClipRule, ClipRuleSpec

LEAST_SIDE = 32
"""Pixels that the square around a region is wide at the least."""


class RegionContrastSpec(ClipRuleSpec):
    """The target's region must look more like the target than the rest does."""

    cost: ClassVar[int] = 2
    threshold: ClassVar[str] = "min_contrast"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_contrast"})
    kind: Literal["region_contrast"]
    min_contrast: float = Field(default=-0.05, ge=-2, le=2)
    """Least contrast: lead of the target's caption over the backgrounds inside, minus the same outside."""

    def build(self, context: StageContext) -> RegionContrast:
        return RegionContrast(self, context)


class RegionContrast(ClipRule):
    """See `RegionContrastSpec`. It does not apply if the target fills the image or is not in it."""

    primary: ClassVar[str] = "contrast"

    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        pairs = [self._pictures(candidate) for candidate in candidates]
        vectors = iter(self._clip.images([picture for pair in pairs for picture in pair]))
        return [
            self._measure(candidate, next(vectors), next(vectors)) if pair else {}
            for candidate, pair in zip(candidates, pairs, strict=True)
        ]

    def _target(self, candidate: Candidate) -> int:
        """The slot's class, or the largest in the mask if it has none; 0 if there is nothing."""
        if candidate.slot.category is not None:
            return candidate.slot.category
        counts = np.bincount(candidate.condition.mask.ravel(), minlength=256)
        counts[[BACKGROUND, IGNORE]] = 0
        return int(counts.argmax()) if counts.any() else 0

    def _pictures(self, candidate: Candidate) -> tuple[Image, ...]:
        from earthsynth_factory.models.clip import crop_square

        target, image = self._target(candidate), candidate.image
        inside = candidate.condition.mask == target
        if not target or not 0 < np.count_nonzero(inside) < 0.9 * inside.size:
            return ()
        mean = image.reshape(-1, 3).mean(axis=0).astype(np.uint8)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        box = (int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        alone = np.where(inside[..., None], image, mean)
        return crop_square(alone, box, 1.1, LEAST_SIDE), np.where(inside[..., None], mean, image)

    def _measure(self, candidate: Candidate, inside: Any, outside: Any) -> Measures:
        target = self._target(candidate)
        texts = self._clip.texts([self._caption(target), *self._backgrounds([target])])
        leads = [float(similar[0] - similar[1:].max()) for similar in (texts @ inside, texts @ outside)]
        return {"contrast": leads[0] - leads[1], "inside": leads[0], "outside": leads[1]}

    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        name = "target" if category is None else self._taxonomy[category].name
        return (
            f"the rest looks more like a {name} than its region does "
            f"(contrast {measures['contrast']:+.3f}, least {least:+.3g})"
        )
