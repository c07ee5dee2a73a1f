"""Is each object the thing it is labelled as? Zero-shot CLIP on a crop of every object.

The target class must be among the top k against all classes of the recipe and some background. Ours; EarthSynth
publishes no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.geometry.boxes import tight_boxes
from earthsynth_factory.rfilter.base import Measures
from earthsynth_factory.rfilter.clip_rule import ClipRule, ClipRuleSpec
from earthsynth_factory.rfilter.subjects import BACKGROUNDS, caption, find_objects

LEAST_CROP = 16
"""Pixels that a crop is wide at the least: a smaller one shows nothing."""


class InstanceClassSpec(ClipRuleSpec):
    """Enough of the target's objects must be recognised."""

    cost: ClassVar[int] = 2
    threshold: ClassVar[str] = "min_share"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_share"})
    kind: Literal["instance_class"]
    top: int = Field(default=3, ge=1)
    """An object counts as recognised when its class is among this many best."""
    min_share: float = Field(default=0.5, ge=0, le=1)
    """Least share of the target's objects that are recognised."""
    context: float = Field(default=1.4, ge=1, le=8)
    """Side of the square crop, in longer sides of the object's box."""
    max_crops: int = Field(default=8, ge=1)
    """The largest objects of the target class that are looked at."""

    def build(self, context: StageContext) -> InstanceClass:
        return InstanceClass(self, context)


class InstanceClass(ClipRule):
    """See `InstanceClassSpec`. The value is the share recognised, 1 for an image without objects."""

    _spec: InstanceClassSpec
    primary: ClassVar[str] = "share"

    @cached_property
    def _texts(self) -> list[str]:
        """What a crop may show: every class of the recipe, and some background."""
        words = [self._taxonomy[class_id].words for class_id in self._targets]
        return [caption(text) for text in dict.fromkeys([*words, *BACKGROUNDS])]

    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        crops = [self._crops(candidate) for candidate in candidates]
        vectors = self._clip.images([crop for of_one in crops for _, crop in of_one])
        found, start = [], 0
        for of_one in crops:
            classes = [category for category, _ in of_one]
            found.append(self._measure(classes, vectors[start : start + len(of_one)]))
            start += len(of_one)
        return found

    def _crops(self, candidate: Candidate) -> list[tuple[int, Image]]:
        """(class, square) of the largest objects of the target class, or of all if the image has no one target.

        Land cover is not cropped.
        """
        from earthsynth_factory.models.clip import crop_square

        target, condition = candidate.slot.category, candidate.condition
        wanted = condition.classes() if target is None else [target]
        things = [class_id for class_id in wanted if self._taxonomy[class_id].thing]
        runs = find_objects(condition, things)
        boxes, classes = tight_boxes(runs), condition.mask[runs.corners()]
        largest = [at for at in (-runs.areas()).argsort(kind="stable") if classes[at] in things]
        return [
            (int(classes[at]), crop_square(candidate.image, tuple(boxes[at].tolist()), self._spec.context, LEAST_CROP))
            for at in largest[: self._spec.max_crops]
        ]

    def _measure(self, classes: Sequence[int], vectors: Any) -> Measures:
        if not classes:
            return {}
        known = [
            self._place(class_id, vector) < self._spec.top for class_id, vector in zip(classes, vectors, strict=True)
        ]
        return {"share": sum(known) / len(known), "objects": float(len(known))}

    def _place(self, class_id: int, vector: Any) -> int:
        """How many of the other texts a crop is nearer to than to that of its class."""
        own = self._caption(class_id)
        similar = self._clip.texts([own, *(text for text in self._texts if text != own)]) @ vector
        return int((similar[1:] > similar[0]).sum())

    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        words = "their class" if category is None else f"a {self._taxonomy[category].words}"
        return f"{measures['share']:.0%} of the objects look like {words} (least {least:.0%})"
