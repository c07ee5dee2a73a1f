"""Can an object that was there still be seen? For images that began as pictures: inside its mask, now against before.

The segmenter's probability of the object's class, averaged over its mask, in the image and in the picture that it began as.
An object whose probability fell below a share of what it was is lost: its label would say what nothing shows. Objects that
the segmenter did not see before, or does not know, are not judged, nor are those that nothing touched. Ours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from earthsynth_factory.domain.condition import InstanceMap
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.rfilter.base import Measures
from earthsynth_factory.rfilter.segmenter_rule import SegmenterRule, SegmenterRuleSpec
from earthsynth_factory.rfilter.subjects import object_map

SEEN = 0.2
"""Least probability in the picture for an object to count as seen in it."""

TOUCHED = 4
"""Levels of 255 by which a channel differs where an object was touched."""


Means = npt.NDArray[np.float64]
"""(n,) an object's mean probability of its class."""


class KeptSpec(SegmenterRuleSpec):
    """Enough of the objects that an edit touched must still be seen."""

    cost: ClassVar[int] = 2
    threshold: ClassVar[str] = "min_share"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_share"})
    kind: Literal["kept"]
    fall: float = Field(default=0.5, gt=0, lt=1)
    """An object is lost if less than this share of its probability is left."""
    min_share: float = Field(default=0.75, ge=0, le=1)
    """Least share of the touched objects that are still seen."""

    def build(self, context: StageContext) -> Kept:
        return Kept(self, context)


class Kept(SegmenterRule):
    """See `KeptSpec`. The value is the share still seen; the rule does not apply if no object was touched."""

    _spec: KeptSpec
    primary: ClassVar[str] = "share"

    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        pictures = [candidate.condition.picture for candidate in candidates]
        touched = [touched_objects(candidate, self._segmenter.categories) for candidate in candidates]
        places = [place for place, ids in enumerate(touched) if ids.any()]
        before = self._seen([picture for place in places if (picture := pictures[place]) is not None])
        after = self._seen([candidates[place].image for place in places])
        found: list[Measures] = [{} for _ in candidates]
        for place, was, now in zip(places, before, after, strict=True):
            own = self._channels[candidates[place].condition.mask]
            found[place] = self._share(*(_means(touched[place], scores, own) for scores in (was, now)))
        return found

    @cached_property
    def _channels(self) -> npt.NDArray[np.int64]:
        """(256,) class id → its place among the segmenter's categories; 0 for those that it does not know."""
        table = np.zeros(256, np.int64)
        table[list(self._segmenter.categories)] = np.arange(len(self._segmenter.categories))
        return table

    def _share(self, was: Means, now: Means) -> Measures:
        judged = was >= SEEN
        if not judged.any():
            return {}
        still = now[judged] >= self._spec.fall * was[judged]
        return {"share": float(still.mean()), "objects": float(len(still))}

    @override
    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        count = int(measures["objects"])
        return f"{measures['share']:.0%} of {count} objects can still be seen after the edit (least {least:.0%})"


def touched_objects(candidate: Candidate, categories: Collection[int]) -> InstanceMap:
    """(H, W) the ids of those objects of known classes that differ from the picture; 0 elsewhere."""
    condition = candidate.condition
    if condition.picture is None:
        return np.zeros_like(condition.instances)
    differs = np.abs(candidate.image.astype(np.int16) - condition.picture).max(axis=2) > TOUCHED
    ids = object_map(condition, categories) * np.isin(condition.mask, list(categories))
    return np.where(np.isin(ids, np.unique(ids[differs])), ids, 0).astype(np.uint16)


def _means(ids: InstanceMap, scores: npt.NDArray[np.float32], own: npt.NDArray[np.int64]) -> Means:
    """Mean probability (K, H, W) of its own class (H, W) on each object, in the order of the ids."""
    likely = np.take_along_axis(scores, own[None], axis=0)[0]
    areas = np.bincount(ids.ravel())
    sums = np.bincount(ids.ravel(), weights=likely.ravel())
    there = 1 + np.flatnonzero(areas[1:])
    return sums[there] / areas[there]
