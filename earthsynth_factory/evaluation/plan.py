"""Which runs an evaluation is made of, and which images each may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import derive, rng
from earthsynth_factory.evaluation.members import COMPARED, SYNTHETIC, TRAIN
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.spec import ArmName, EvaluationRecipe

Places = npt.NDArray[np.int64]
"""(n,) places in the pool."""

WITHOUT = frozenset[ArmName](("real", "augmented", "copy-paste", "fewer-real", "more-real"))
"""Arms that see real images alone."""

HALF = 0.5
"""Shares up to this have as many further real images to be compared with."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training. share: part of the real training images. dose: synthetic images for every real one; 0 in arms
    without. seed: 0, 1, …; the runs of one seed begin with the same weights, real images and order of these."""

    arm: ArmName
    share: float
    dose: float
    seed: int

    @property
    def group(self) -> str:
        """The run without its seed: what is averaged."""
        return f"{self.arm}-{self.share:g}-{self.dose:g}"

    @property
    def name(self) -> str:
        return f"{self.group}-{self.seed}"


def runs_of(recipe: EvaluationRecipe, made: float) -> list[Run]:
    """Seed by seed, so that a stopped evaluation has whole rounds. made: synthetic images there are for every real one."""
    settings = list(dict.fromkeys(setting for share in recipe.shares for setting in _settings(recipe, share, made)))
    return [Run(*setting, seed) for seed in range(recipe.seeds) for setting in settings]


def _settings(recipe: EvaluationRecipe, share: float, made: float) -> Iterable[tuple[ArmName, float, float]]:
    most = made / share
    for arm in recipe.arms:
        if arm in ("more-real", "fewer-real") and (arm == "more-real") != (share <= HALF):
            continue
        if arm == "compared" and recipe.compare is None:
            continue
        yield arm, share, 0.0 if arm in WITHOUT else min(recipe.dose, most)
    for dose in recipe.doses:
        yield ("synthetic", share, min(dose, most)) if dose else ("real", share, 0.0)


@dataclass(frozen=True)
class Material:
    """What a run draws from: places of real images and of made ones."""

    real: Places
    made: Places


def material(pool: Pool, run: Run, seed: int) -> Material:
    """The images of a run. Smaller shares and doses are the beginnings of larger ones."""
    order = covering(pool, pool.of(TRAIN), derive(seed, "real", run.seed))
    count = _size(len(order), run.share)
    made = np.array([], np.int64)
    if run.arm not in WITHOUT:
        found = pool.of(COMPARED if run.arm == "compared" else SYNTHETIC)
        shuffled = found[rng(seed, "made", run.seed).permutation(len(found))]
        made = shuffled[: max(1, round(run.dose * count))]
    factor = {"more-real": 2.0, "fewer-real": HALF}.get(run.arm, 1.0)
    real = order[: max(1, min(len(order), round(factor * count)))]
    return Material(order[:0] if run.arm == "synthetic-alone" else real, made)


def _size(count: int, share: float) -> int:
    return max(2, round(share * count))


def covering(pool: Pool, places: Places, seed: int) -> Places:
    """The places in a random order that begins with an image of every class, the rarest first."""
    shuffled = places[rng(seed, "order").permutation(len(places))]
    holds = pool.holds[shuffled]
    first: list[int] = []
    for column in sorted(range(1, pool.classes.count), key=lambda column: (holds[:, column].sum(), column)):
        found = np.flatnonzero(holds[:, column])
        if len(found) and not holds[first, column].any():
            first.append(int(found[0]))
    rest = np.setdiff1d(np.arange(len(shuffled)), first)
    return np.asarray(shuffled[np.concatenate([np.array(first, np.int64), rest])])
