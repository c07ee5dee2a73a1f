"""In which order a run sees its images. The real ones come in the same order in every arm of a seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import derive, rng
from earthsynth_factory.evaluation.plan import Material, Places, Run
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.training import order

STREAM_SHARE = 0.5
"""Part of every batch that is synthetic in `two-streams`."""

FIRST = 0.3
"""Part of the steps of `synthetic-first` that come before the real images: most of the time goes to these."""


def draws(pool: Pool, run: Run, found: Material, seed: int, steps: int, batch: int) -> Places:
    """(steps, batch) places in the pool. seed: the evaluation's."""
    own = derive(seed, "draws", run.seed)
    made = _is_made(run, found, own, steps, batch)
    result = np.empty((steps, batch), np.int64)
    result[made] = _stream(found.made, derive(own, "made"), int(made.sum()))
    count = int((~made).sum())
    if run.arm == "copy-paste":
        result[~made] = _rare_oftener(pool, found.real, derive(own, "real"), count)
    else:
        result[~made] = _stream(found.real, derive(own, "real"), count)
    return result


def _is_made(run: Run, found: Material, seed: int, steps: int, batch: int) -> npt.NDArray[np.bool_]:
    """(steps, batch) whether a synthetic image stands there."""
    if not len(found.made) or not len(found.real):
        return np.full((steps, batch), bool(len(found.made)))
    if run.arm == "two-streams":
        return np.tile(np.arange(batch) < round(STREAM_SHARE * batch), (steps, 1))
    if run.arm == "synthetic-first":
        return np.repeat(np.arange(steps) < round(FIRST * steps), batch).reshape(steps, batch)
    every = len(found.real) + len(found.made)
    mixed = order.span(derive(seed, "mixed"), 0, steps * batch, every) >= len(found.real)
    return mixed.reshape(steps, batch)


def _stream(places: Places, seed: int, count: int) -> Places:
    """`count` places, every one once an epoch."""
    return places[order.span(seed, 0, count, len(places))] if count else places[:0]


def _rare_oftener(pool: Pool, places: Places, seed: int, count: int) -> Places:
    """Repeat-factor sampling: an image comes √(t / f) times an epoch, f the share of images with its rarest class and t
    the median of all classes' (LVIS, Gupta et al. 2019, with a fixed t there)."""
    holds = pool.holds[places][:, 1:]
    shares = holds.mean(axis=0)
    present = shares > 0
    factors = np.sqrt(np.median(shares[present]) / shares[present]).clip(min=1) if present.any() else np.ones(0)
    repeats = np.where(holds[:, present], factors, 1.0).max(axis=1, initial=1.0)
    found: list[int] = []
    for random in _epochs(seed):
        times = np.floor(repeats + random.random(len(places))).astype(int)
        found += random.permutation(np.repeat(places, times)).tolist()
        if len(found) >= count:
            break
    return np.array(found[:count], np.int64)


def _epochs(seed: int) -> Iterator[np.random.Generator]:
    number = 0
    while True:
        yield rng(seed, "epoch", number)
        number += 1
