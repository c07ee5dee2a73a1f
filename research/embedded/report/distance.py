"""How far two sets of images are apart, by KID at every depth of features that judge neither of them otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.evaluation.kid import Features, kid, standardised


@dataclass(frozen=True, slots=True)
class Distance:
    """KID by depth and its spread over subsets, of `count` images against as many."""

    kid: dict[str, float]
    spread: dict[str, float]
    count: int


def across_halves(real: Mapping[str, Features], other: Mapping[str, Features], seed: int) -> Distance:
    """The distance of one half of `other` to the other half of `real`, mean of both ways round.

    Rows belong together: other[i] was made for the mask of real[i]. So with `other` the real features themselves this is
    the floor that no generator need be under: the same sizes, the same masks, and never an image against its own.
    """
    count = len(next(iter(real.values())))
    order, size = rng(seed, "halves").permutation(count), count // 2
    first, second = order[:size], order[size : 2 * size]
    means, spreads = {}, {}
    for depth, features in real.items():
        wanted, made = standardised(features, other[depth])
        found = [kid(made[one], wanted[rest], seed) for one, rest in ((first, second), (second, first))]
        means[depth], spreads[depth] = (float(np.mean([getattr(k, n) for k in found])) for n in ("mean", "spread"))
    return Distance(means, spreads, size)
