"""Are the objects large and visible enough to learn from? Numbers of the mask alone; no model.

The bounds are ours; EarthSynth publishes none.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.rfilter.base import Measures, PixelRule, RuleSpec
from earthsynth_factory.rfilter.subjects import find_objects


class ObjectSizeSpec(RuleSpec):
    """Enough of the objects must be of a usable size and visible."""

    threshold: ClassVar[str] = "min_share"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_share"})
    kind: Literal["object_size"]
    min_area: int = Field(default=16, ge=1)
    """Least pixels of an object."""
    max_area: float = Field(default=0.9, gt=0, le=1)
    """Largest share of the image that one object covers."""
    min_visible: float = Field(default=0.3, ge=0, le=1)
    """Least share of an object that neither others nor the border hide, if that is known."""
    min_share: float = Field(default=0.5, ge=0, le=1)
    """Least share of the image's objects that keep these bounds."""

    def build(self, context: StageContext) -> ObjectSize:
        return ObjectSize(self, context)


class ObjectSize(PixelRule):
    """See `ObjectSizeSpec`. The value is the share of usable objects; the rule does not apply if there are none."""

    _spec: ObjectSizeSpec
    primary: ClassVar[str] = "share"

    def look(self, candidate: Candidate) -> Measures:
        condition, spec, known = candidate.condition, self._spec, candidate.condition.known_instances
        runs = find_objects(condition, [category.id for category in self._taxonomy if category.thing])
        if not len(runs.ids):
            return {}
        areas = runs.areas()
        seen = np.array([condition.visible.get(int(own), 1.0) if known else 1.0 for own in runs.ids])
        usable = (areas >= spec.min_area) & (areas <= spec.max_area * condition.mask.size) & (seen >= spec.min_visible)
        return {"share": float(usable.mean()), "objects": float(len(areas)), "median_area": float(np.median(areas))}

    @override
    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        share, count = measures["share"], int(measures["objects"])
        return f"{share:.0%} of {count} objects are large and visible enough (least {least:.0%})"
