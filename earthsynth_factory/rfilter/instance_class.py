"""Is each object the thing it is labelled as? Zero-shot CLIP on a crop of every object.

The target class must be among the top k against all classes of the recipe and some background. Ours; EarthSynth
publishes no rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from earthsynth_factory.domain.sample import Candidate, Image, Score
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.geometry.boxes import tight_boxes
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.runs import find_runs
from earthsynth_factory.models.clip_files import ClipName, clip_identity
from earthsynth_factory.rfilter.base import Rule, RuleSpec
from earthsynth_factory.rfilter.wording import BACKGROUNDS, caption

if TYPE_CHECKING:
    from earthsynth_factory.models.clip import ClipModel

LEAST_CROP = 16
"""Pixels that a crop is wide at the least: a smaller one shows nothing."""


class InstanceClassSpec(RuleSpec):
    """Enough of the target's objects must be recognised."""

    cost: ClassVar[int] = 2
    kind: Literal["instance_class"]
    model: ClipName = "embedded"
    """`embedded`, a folder, or {name, pretrained} of open_clip."""
    top: int = Field(default=3, ge=1)
    """An object counts as recognised when its class is among this many best."""
    min_share: float = Field(default=0.5, ge=0, le=1)
    """Least share of the target's objects that are recognised."""
    context: float = Field(default=1.4, ge=1, le=8)
    """Side of the square crop, in longer sides of the object's box."""
    max_crops: int = Field(default=8, ge=1)
    """The largest objects of the target class that are looked at."""

    def identity(self, base: Path) -> Mapping[str, str]:
        return clip_identity(self.model, base)

    def build(self, taxonomy: Taxonomy, targets: Sequence[int], base: Path, device: str) -> InstanceClass:
        return InstanceClass(self, taxonomy, targets, base, device)


class InstanceClass(Rule):
    """See `InstanceClassSpec`. The value is the share recognised, 1 for an image without objects of its target."""

    def __init__(
        self, spec: InstanceClassSpec, taxonomy: Taxonomy, targets: Sequence[int], base: Path, device: str
    ) -> None:
        self._spec = spec
        self._taxonomy = taxonomy
        self._base, self._device = base, device
        words = [taxonomy[class_id].words for class_id in targets]
        self._texts = [caption(text) for text in dict.fromkeys([*words, *BACKGROUNDS])]

    def open(self) -> None:
        from earthsynth_factory.models.clip import load_clip

        self._clip: ClipModel = load_clip(self._spec.model, self._base, self._device)

    def describe(self) -> Mapping[str, Any]:
        from earthsynth_factory.models.clip import facts

        return facts(self._spec.model, self._base)

    def score(self, candidates: Sequence[Candidate]) -> list[Score]:
        crops = [self._crops(candidate) for candidate in candidates]
        vectors = self._clip.images([crop for of_one in crops for crop in of_one])
        scores, start = [], 0
        for candidate, of_one in zip(candidates, crops, strict=True):
            scores.append(self._score(candidate, vectors[start : start + len(of_one)]))
            start += len(of_one)
        return scores

    def _crops(self, candidate: Candidate) -> list[Image]:
        """Squares around the largest objects of the target class; none for land cover, which is not cropped."""
        from earthsynth_factory.models.clip import crop_square

        category = candidate.slot.category
        if category is None or not self._taxonomy[category].thing:
            return []
        condition = candidate.condition
        own = condition.instances * (condition.mask == category)
        runs = find_runs(own if condition.known_instances else components(condition.mask, [category]))
        boxes = tight_boxes(runs)
        largest = (-runs.areas()).argsort(kind="stable")[: self._spec.max_crops]
        return [
            crop_square(candidate.image, tuple(boxes[at].tolist()), self._spec.context, LEAST_CROP) for at in largest
        ]

    def _score(self, candidate: Candidate, vectors: Any) -> Score:
        if not len(vectors):
            return Score(1.0, True)
        assert candidate.slot.category is not None
        words = self._taxonomy[candidate.slot.category].words
        texts = [caption(words), *(text for text in self._texts if text != caption(words))]
        similar = vectors @ self._clip.texts(texts).T
        better = (similar[:, 1:] > similar[:, :1]).sum(dim=1)
        share = float((better < self._spec.top).float().mean())
        passed = share >= self._spec.min_share
        reason = f"{share:.0%} of the objects look like a {words} (least {self._spec.min_share:.0%})"
        return Score(share, passed, "" if passed else reason)
