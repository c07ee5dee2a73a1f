"""What a difference between two arms is worth: paired over seeds, resampled over scenes.

Two things make a difference uncertain: the seeds (first weights, order, subset), seen in the spread of the paired
differences, and the test (which scenes happened to be in it), seen when scenes are drawn anew with replacement. The
interval takes both variances together and Student's t with the degrees of freedom of Welch and Satterthwaite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import rng

Floats = npt.NDArray[np.float64]

LEVEL, POWER = 0.95, 0.8
RESAMPLED = 400
MOST_SEEDS = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """In points (hundredths) of a score. low, high: the 95 % interval. by_seed: paired differences. seed_error,
    scene_error: standard errors of the mean from either source. needed: seeds that would show a difference as large as
    this in four of five evaluations; None if no number would, for the test itself is too small."""

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    seed_error: float
    scene_error: float
    needed: int | None

    @property
    def word(self) -> str:
        """`helps`, `harms` or `no effect seen`."""
        return "helps" if self.low > 0 else "harms" if self.high < 0 else "no effect seen"


def resamplings(units: npt.NDArray[np.int64], seed: int, count: int = RESAMPLED) -> npt.NDArray[np.int64]:
    """(count + 1, N): how often each image counts. The first row is the test itself; units: (N,) scene of each image."""
    scenes = int(units.max()) + 1 if len(units) else 0
    rows = [np.ones(len(units), np.int64)]
    for number in range(count):
        drawn = rng(seed, "scenes", number).integers(0, scenes, scenes)
        rows.append(np.bincount(drawn, minlength=scenes)[units])
    return np.stack(rows)


def difference(base: Floats, arm: Floats, scenes: int) -> Difference:
    """base, arm: (seeds, 1 + resamplings) scores in [0, 1], rows of one seed paired. scenes: units that were resampled."""
    gaps = 100 * (arm - base)
    by_seed, resampled = gaps[:, 0], gaps[:, 1:].mean(axis=0)
    seeds = len(by_seed)
    seed_error = float(np.std(by_seed, ddof=1) / math.sqrt(seeds)) if seeds > 1 else float("nan")
    scene_error = float(np.std(resampled, ddof=1)) if scenes > 1 and len(resampled) > 1 else 0.0
    mean = float(by_seed.mean())
    reach = quantile((1 + LEVEL) / 2, _freedom(seed_error, seeds - 1, scene_error, scenes - 1))
    half = reach * math.hypot(seed_error, scene_error)
    spread = seed_error * math.sqrt(seeds)
    return Difference(
        mean, mean - half, mean + half, tuple(by_seed.tolist()), seed_error, scene_error,
        seeds_needed(mean, spread, scene_error),
    )  # fmt: skip


def _freedom(one: float, first: int, other: float, second: int) -> float:
    """Welch and Satterthwaite's degrees of freedom of the sum of two variances."""
    below = one**4 / max(first, 1) + other**4 / max(second, 1)
    return (one**2 + other**2) ** 2 / below if below > 0 else float(max(first, 1))


def seeds_needed(mean: float, spread: float, scene_error: float) -> int | None:
    """Seeds at which a true difference of `mean` with this spread between seeds is seen in four of five evaluations.

    None if the test's own error alone hides it.
    """
    reach = _NORMAL + _POWER
    if reach * scene_error >= abs(mean):
        return None
    for seeds in range(2, MOST_SEEDS + 1):
        bound = quantile((1 + LEVEL) / 2, seeds - 1) + quantile(POWER, seeds - 1)
        if (bound * spread) ** 2 / seeds + (reach * scene_error) ** 2 <= mean**2:
            return seeds
    return None


def quantile(part: float, freedom: float) -> float:
    """Student's t at `part` in (0.5, 1): with x = √ν · tan θ its density is that of cos^(ν − 1) θ."""
    if freedom > 1000:
        return _normal(part)
    angles = np.linspace(0, math.pi / 2, 20_001)
    middles = (angles[1:] + angles[:-1]) / 2
    mass = np.concatenate([[0.0], np.cumsum(np.cos(middles) ** (freedom - 1))])
    angle = float(np.interp((2 * part - 1) * mass[-1], mass, angles))
    return math.sqrt(freedom) * math.tan(angle)


def _normal(part: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(part)


_NORMAL, _POWER = _normal((1 + LEVEL) / 2), _normal(POWER)


def worth(counts: Sequence[int], scores: Sequence[float], value: float) -> tuple[float, str]:
    """How many real images give a score of `value`, read off a curve of (images, score); with `≈`, `>` or `<` before it.

    Between points the score is taken as linear in the logarithm of the count; beyond them nothing is said but the bound.
    """
    order = np.argsort(counts)
    sizes, found = np.array(counts, float)[order], np.maximum.accumulate(np.array(scores, float)[order])
    if value > found[-1]:
        return float(sizes[-1]), ">"
    if value < found[0]:
        return float(sizes[0]), "<"
    rising = np.concatenate([[True], np.diff(found) > 0])
    return float(np.exp(np.interp(value, found[rising], np.log(sizes[rising])))), "≈"
