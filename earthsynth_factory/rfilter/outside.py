"""Did anything appear that nobody asked for? For images that began as pictures: objects seen outside of the objects' masks.

Where the segmenter sees something countable in the image that touches no object of the mask and was not seen in the picture,
the image shows an object without a label. What it sees is taken part by part, for its outlines waver. Ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from typing_extensions import override

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.geometry.components import components
from earthsynth_factory.rfilter.base import Measures
from earthsynth_factory.rfilter.segmenter_rule import SegmenterRule, SegmenterRuleSpec

RIM = 4
"""Pixels around an object that still count as it: a segmenter's outlines are no sharper."""

KNOWN = 0.25
"""Share of what is seen that was seen before, from which on it is nothing new."""


class OutsideSpec(SegmenterRuleSpec):
    """Nothing countable may appear where the mask has nothing countable."""

    cost: ClassVar[int] = 2
    threshold: ClassVar[str] = "min_clean"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_clean"})
    kind: Literal["outside"]
    min_clean: float = Field(default=0.995, ge=0, le=1)
    """Least share of the pixels outside of all objects on which no object appeared."""

    def build(self, context: StageContext) -> Outside:
        return Outside(self, context)


class Outside(SegmenterRule):
    """See `OutsideSpec`. It does not apply to an image that is its picture, or has none."""

    primary: ClassVar[str] = "clean"

    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        pictures = [candidate.condition.picture for candidate in candidates]
        places = [
            place
            for place, (candidate, picture) in enumerate(zip(candidates, pictures, strict=True))
            if picture is not None and not np.array_equal(candidate.image, picture)
        ]
        before = self._things([picture for place in places if (picture := pictures[place]) is not None])
        after = self._things([candidates[place].image for place in places])
        found: list[Measures] = [{} for _ in candidates]
        for place, was, now in zip(places, before, after, strict=True):
            asked = self._asked(candidates[place])
            found[place] = {"clean": 1 - float(_appeared(now, was, asked).sum() / max(1, (~asked).sum()))}
        return found

    def _things(self, images: Sequence[Image]) -> list[npt.NDArray[np.bool_]]:
        """(H, W) where the likeliest class is a countable one, of each image."""
        countable = np.array([self._is_thing(category) for category in self._segmenter.categories])
        return [countable[scores.argmax(axis=0)] for scores in self._seen(images)]

    def _is_thing(self, category: int) -> bool:
        return category in self._taxonomy and self._taxonomy[category].thing

    def _asked(self, candidate: Candidate) -> npt.NDArray[np.bool_]:
        """(H, W) the objects of the mask, and what is close to them."""
        mask = candidate.condition.mask
        objects = np.isin(mask, [category for category in candidate.condition.classes() if self._is_thing(category)])
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM + 1, 2 * RIM + 1))
        return np.asarray(cv2.dilate(objects.astype(np.uint8), disc) > 0)

    @override
    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        share = 1 - measures["clean"]
        return f"objects appeared on {share:.1%} of the ground, where none was asked for (at most {1 - least:.1%})"


def _appeared(
    now: npt.NDArray[np.bool_], was: npt.NDArray[np.bool_], asked: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """(H, W) the connected parts of what is seen now that lie on no object and were mostly not seen before."""
    parts = components(now.astype(np.uint8), [1])
    areas = np.bincount(parts.ravel())
    asked_for, seen_before = (np.bincount(parts.ravel(), weights=one.ravel()) for one in (asked, was))
    fresh = (asked_for == 0) & (seen_before < KNOWN * areas)
    fresh[0] = False
    return np.asarray(fresh[parts])
