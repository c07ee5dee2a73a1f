"""Counterfactual pairs: two images of one scene that differ by one object and are equal to the bit elsewhere.

Each slot of a pair makes and judges both images from the seeds that they share, and keeps its own: so the two agree on the
attempt that is kept without knowing of each other, whatever worker has them and however often it was stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Candidate, Image, Score, Slot, Verdict
from earthsynth_factory.geometry.blending import blended, feathered
from earthsynth_factory.synthesis.base import ImageGenerator

TWIN = "twin"
"""Stands among the rules of a pair's verdict for all rules that its other image was held to."""

Request = tuple[Slot, int, int, Condition]
"""Slot, attempt, image seed, condition."""


def synthesised(generator: ImageGenerator, requests: Sequence[Request]) -> list[Candidate]:
    """A candidate for each request, with its twin if it is of a pair. A scene that two of them show is made once."""
    scenes: dict[tuple[int, int], tuple[list[Condition], int]] = {}
    for slot, attempt, seed, condition in requests:
        scenes.setdefault(_key(slot, attempt), (_scenes(slot, condition), seed))
    images = iter(
        generator.generate(
            [condition for conditions, _ in scenes.values() for condition in conditions],
            [seed for conditions, seed in scenes.values() for _ in conditions],
        )
    )
    made = {
        key: _joined(conditions, [next(images) for _ in conditions], generator.reach)
        for key, (conditions, _) in scenes.items()
    }
    return [_candidate(request, made[_key(request[0], request[1])]) for request in requests]


def merged(own: Verdict, twin: Verdict) -> Verdict:
    """The verdict of an image of a pair: it is kept if both images pass, and both are ranked alike."""
    reasons = "; ".join(f"{reason.rule}: {reason.text}" for reason in twin.reasons)
    score = Score(float(twin.kept), twin.kept, f"the other image of its pair: {reasons}" if reasons else "")
    return Verdict({**own.scores, TWIN: score}, own.rank + twin.rank)


def difference(first: Condition, second: Condition) -> npt.NDArray[np.bool_]:
    """(H, W) where two scenes are not the same."""
    differs = (first.mask != second.mask) | (first.instances != second.instances)
    if first.picture is not None and second.picture is not None:
        differs |= (first.picture != second.picture).any(axis=2)
    return np.asarray(differs)


def _key(slot: Slot, attempt: int) -> tuple[int, int]:
    return (slot.pair.id if slot.pair else slot.index), attempt


def _scenes(slot: Slot, condition: Condition) -> list[Condition]:
    """The condition; of a pair both, the factual one first."""
    if slot.pair is None or condition.twin is None:
        return [condition]
    return [condition.twin, condition] if slot.pair.counterfactual else [condition, condition.twin]


def _joined(conditions: Sequence[Condition], images: Sequence[Image], reach: int) -> list[Image]:
    """The images; the second has the pixels of the first wherever the scenes are equal, `reach` pixels away from what is
    not."""
    if len(images) == 1:
        return list(images)
    differs = difference(conditions[0], conditions[1])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    place = cv2.dilate(differs.astype(np.uint8), disc) > 0
    share = np.where(differs, np.float32(1), feathered(place, max(0, reach - 1)))
    return [images[0], blended(images[0], images[1], share)]


def _candidate(request: Request, images: Sequence[Image]) -> Candidate:
    slot, attempt, seed, condition = request
    if len(images) == 1 or slot.pair is None or condition.twin is None:
        return Candidate(slot, attempt, seed, condition, images[0])
    pair, own = slot.pair, int(slot.pair.counterfactual)
    other = replace(slot, category=pair.category if own else pair.instead, pair=replace(pair, counterfactual=not own))
    twin = Candidate(other, attempt, seed, condition.twin, images[1 - own])
    return Candidate(slot, attempt, seed, condition, images[own], twin)
