"""Does the image show what its prompt says? CLIP similarity with the prompt against the prompts of other classes.

A softmax over one image's own labels says nothing if there is one label, so the prompt competes with hard negatives:
`A satellite image of <class>` for every class of the recipe that is not in the image. Ours; EarthSynth publishes no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from typing_extensions import override

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.rfilter.base import Measures
from earthsynth_factory.rfilter.clip_rule import ClipRule, ClipRuleSpec
from earthsynth_factory.rfilter.subjects import BACKGROUNDS, caption


class ClipScoreSpec(ClipRuleSpec):
    """The image must look more like the classes in it than like the others."""

    cost: ClassVar[int] = 1
    threshold: ClassVar[str] = "min_margin"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_margin"})
    kind: Literal["clip_score"]
    min_margin: float = Field(default=-0.1, ge=-2, le=2)
    """Least margin: cosine with the best of the image's own classes, minus cosine with the best of the others."""

    def build(self, context: StageContext) -> ClipScore:
        return ClipScore(self, context)


class ClipScore(ClipRule):
    """See `ClipScoreSpec`. The value is the margin, in −2 … 2; `rival` is the number of the best other text."""

    primary: ClassVar[str] = "margin"

    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        vectors = self._clip.images([candidate.image for candidate in candidates])
        return [self._measure(candidate, vector) for candidate, vector in zip(candidates, vectors, strict=True)]

    def _measure(self, candidate: Candidate, vector: Any) -> Measures:
        present = candidate.condition.classes()
        own = [*map(self._caption, present)] or [caption(BACKGROUNDS[0])]
        rivals = [class_id for class_id in self._targets if class_id not in present] or self._negatives(present)
        others = [*map(self._caption, rivals)]
        mine, rival = (self._clip.texts(texts) @ vector for texts in (own, others))
        return {"margin": float(mine.max() - rival.max()), "rival": float(rivals[int(rival.argmax())])}

    def _negatives(self, present: Sequence[int]) -> list[int]:
        """Backgrounds that the image does not claim to show, if every class of the recipe is in it."""
        found = [self._taxonomy.named(words).id for words in BACKGROUNDS[1:]]
        return [class_id for class_id in found if class_id not in present] or found

    @override
    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        rival = self._caption(int(measures["rival"]))
        return f"looks more like {rival!r} (margin {measures['margin']:+.3f}, least {least:+.3g})"
