"""Who is pasted on whom: regions are drawn for every sample, then pairs by the combined score. Our reading throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain import partners
from earthsynth_factory.domain.partners import Scores
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.training.cf_comp import criteria
from earthsynth_factory.training.cf_comp.criteria import Members
from earthsynth_factory.training.cf_comp.spec import CfCompSpec

FURTHER = 0.5
"""Chance of each further class of a donor to come along with the first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One composed sample: places of base and donor in the batch, classes and share of the scene pasted, and the scores."""

    base: int
    donor: int
    classes: tuple[int, ...]
    share: float
    scores: Mapping[str, float]

    def record(self) -> dict[str, object]:
        """As plain JSON."""
        return asdict(self)


def choose(
    members: Members, spec: CfCompSpec, count: int, generator: np.random.Generator
) -> tuple[list[Choice], npt.NDArray[np.bool_]]:
    """`count` choices, and the regions (B, H, W) that each sample would lend.

    Partners are merged both ways (the paper's figure): choices come in twos, (i, j) then (j, i); an odd one out lacks its
    twin. A choice whose `classes` are empty pastes nothing: its donor has no foreground and there was no better one.
    """
    brought = _classes_to_lend(members, spec, generator)
    regions = np.stack([lent[mask] for lent, mask in zip(brought, members.masks, strict=True)])
    scores = _scores(members, brought, regions, spec)
    weights = {name: float(getattr(spec, name)) for name in scores}
    combined = partners.combined(scores, weights, (len(members), len(members)))
    pairs = _draw_pairs(combined, regions, -(-count // 2), generator)
    ordered = [way for i, j in pairs for way in ((i, j), (j, i))][:count]
    choices = [
        Choice(
            base=i,
            donor=j,
            classes=tuple(int(c) for c in np.flatnonzero(brought[j])),
            share=round(float(regions[j].mean()), 6),
            scores={name: round(float(score[i, j]), 6) for name, score in scores.items()},
        )
        for i, j in ordered
    ]
    return choices, regions


def _scores(
    members: Members, brought: npt.NDArray[np.bool_], regions: npt.NDArray[np.bool_], spec: CfCompSpec
) -> dict[str, Scores]:
    """The criteria that are on, by name."""
    known: dict[str, Callable[[], Scores]] = {
        "image": lambda: criteria.image_score(members),
        "mask": lambda: criteria.mask_score(members, regions, spec.area),
        "text": lambda: criteria.text_score(members, brought),
    }
    return {name: score() for name, score in known.items() if spec.mode == "cf-comp" and getattr(spec, name)}


def _classes_to_lend(members: Members, spec: CfCompSpec, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(B, 256): for each sample a first class and perhaps further ones.

    Under the text criterion rare classes come first. The area stays within bounds, in the baseline too, or an ablation
    would compare sizes; only with the mask criterion switched off it does not. What is too small alone may still be lent;
    what is too large would be a copy of the donor.
    """
    guided = spec.mode == "cf-comp"
    low, high = (0.0, 1.0) if guided and not spec.mask else spec.area
    shares = members.shares()
    lent = np.zeros(shares.shape, bool)
    for row, share in zip(lent, shares, strict=True):
        there = share > 0
        there[[BACKGROUND, IGNORE]] = False
        bounded = there & (share <= high)
        fitting = bounded & (share >= low)
        usable = np.flatnonzero(fitting if fitting.any() else bounded)
        if not len(usable):
            continue
        weight = members.rarity[usable] ** (spec.text if guided else 0.0)
        order = generator.choice(usable, len(usable), replace=False, p=weight / weight.sum())
        comes_along = generator.random(len(usable)) < FURTHER
        row[order[0]] = True
        total = share[order[0]]
        for category in order[1:][comes_along[1:]]:
            if total + share[category] <= high:
                row[category] = True
                total += share[category]
    return lent


def _draw_pairs(
    combined: Scores, regions: npt.NDArray[np.bool_], count: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """`count` unordered pairs, by the geometric mean of both ways' scores; no sample twice before all had a turn."""
    size = len(combined)
    first, second = np.triu_indices(size, 1)
    lends = np.asarray(regions.any(axis=(1, 2)))
    lenders = lends[first].astype(np.int64) + lends[second]
    usable = lenders == lenders.max(initial=0)
    weight = np.sqrt(combined[first, second] * combined[second, first]) * usable
    turns = np.zeros(size, np.int64)
    pairs: list[tuple[int, int]] = []
    while len(pairs) < count and len(first):
        had = np.maximum(turns[first], turns[second])
        fresh = weight * (had == had[weight > 0].min())
        drawn = int(generator.choice(len(first), p=fresh / fresh.sum()))
        pairs.append((int(first[drawn]), int(second[drawn])))
        turns[[first[drawn], second[drawn]]] += 1
    return pairs
