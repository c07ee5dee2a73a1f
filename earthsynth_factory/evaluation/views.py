"""What of an image goes into a batch: as it is, turned and relit, with others' objects pasted in, or noise in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import derive, rng
from earthsynth_factory.evaluation.plan import Places, Run
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.geometry.boxes import tight_boxes
from earthsynth_factory.geometry.runs import find_runs
from earthsynth_factory.training.order import dihedral

PASTED = 0.5
"""Share of images, in `copy-paste`, that get objects of another."""
LEAST_SEEN = 0.25
"""Of an object's box must be left after pasting for it to count."""
LIGHT = 0.2
"""Largest change of gain and of saturation, and of lift as a share of 128, when relit."""
AUGMENTED = frozenset({"augmented", "copy-paste", "synthetic-augmented"})

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """One image of a batch. image (S, S, 3), mask (S, S) of columns, boxes (m, 4) with their columns (m,)."""

    image: Array
    mask: Array
    boxes: npt.NDArray[np.float32]
    columns: npt.NDArray[np.int64]


def seen(pool: Pool, run: Run, places: Places, real: Places, seed: int, step: int) -> list[Seen]:
    """The batch of a step. places: (B,) in the pool; real: those that objects may be pasted from."""
    seeds = [derive(seed, "view", run.seed, step, spot) for spot in range(len(places))]
    return [_one(pool, run, int(place), real, own) for place, own in zip(places, seeds, strict=True)]


def unaugmented(pool: Pool, place: int) -> Seen:
    """An image as it is; regions of uncounted objects are no boxes to learn."""
    objects = pool.objects(place)
    single = ~pool.crowd[objects]
    return Seen(
        np.asarray(pool.images[place]),
        np.asarray(pool.masks[place]),
        np.asarray(pool.boxes[objects][single]),
        np.asarray(pool.columns[objects][single]),
    )


def noise_of(place: int, side: int) -> Array:
    """(side, side, 3): the same for an image whenever it is drawn, as a file of noise would be."""
    return rng(0, "noise", place).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _one(pool: Pool, run: Run, place: int, real: Places, seed: int) -> Seen:
    random = rng(seed)
    found = unaugmented(pool, place)
    if run.arm == "noise" and place not in real:
        return replace(found, image=noise_of(place, pool.side))
    if run.arm == "copy-paste" and random.random() < PASTED:
        found = _pasted(pool, place, int(random.choice(real)), random)
    return _varied(found, random) if run.arm in AUGMENTED else found


def _varied(found: Seen, random: np.random.Generator) -> Seen:
    """Standard augmentation: one of the eight symmetries, other light, other saturation."""
    turn = int(random.integers(0, 8))
    gain, lift, saturation = 1 + LIGHT * random.uniform(-1, 1, 3)
    pixels = dihedral(found.image, turn).astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    relit = (grey + (pixels - grey) * saturation) * gain + 128 * (lift - 1)
    return Seen(
        np.clip(relit, 0, 255).astype(np.uint8),
        np.ascontiguousarray(dihedral(found.mask, turn)),
        turned_boxes(found.boxes, turn, len(found.mask)),
        found.columns,
    )


def turned_boxes(boxes: npt.NDArray[np.float32], turn: int, side: int) -> npt.NDArray[np.float32]:
    """x1, y1, x2, y2 (m, 4) after `dihedral(…, turn)` of their image."""
    x1, y1, x2, y2 = boxes.T
    for _ in range(turn % 4):  # a quarter turn to the left: (x, y) → (y, side − x)
        x1, y1, x2, y2 = y1, side - x2, y2, side - x1
    if turn >= 4:
        x1, x2 = side - x2, side - x1
    return np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)


def _pasted(pool: Pool, place: int, other: int, random: np.random.Generator) -> Seen:
    """About half of the other image's objects, or one of its classes if it has no objects, at their own place."""
    numbers, mask = pool.numbers[other], pool.masks[other]
    present = np.unique(numbers)
    picked = [int(one) for one in present if one and random.random() < PASTED]
    if present.any():
        where = np.isin(numbers, picked)
    else:
        columns = np.flatnonzero(pool.holds[other][1:]) + 1
        where = mask == random.choice(columns) if len(columns) else np.zeros(mask.shape, bool)
    under = np.where(where, 0, pool.numbers[place])
    boxes, columns = _boxes_left(pool, place, under)
    added = [spot for spot in range(*pool.objects(other).indices(len(pool.ids))) if pool.ids[spot] in picked]
    added = [spot for spot in added if not pool.crowd[spot]]
    return Seen(
        np.where(where[..., None], pool.images[other], pool.images[place]),
        np.where(where, mask, pool.masks[place]),
        np.concatenate([boxes, pool.boxes[added]]),
        np.concatenate([columns, pool.columns[added]]),
    )


def _boxes_left(
    pool: Pool, place: int, numbers: npt.NDArray[np.uint16]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The boxes around what is still seen of an image's objects, and their columns."""
    runs = find_runs(numbers)
    tight = dict(zip(runs.ids.tolist(), tight_boxes(runs).tolist(), strict=True))
    boxes, columns = [], []
    for spot in range(*pool.objects(place).indices(len(pool.ids))):
        x, y, width, height = tight.get(int(pool.ids[spot]), (0, 0, 0, 0))
        x1, y1, x2, y2 = pool.boxes[spot].tolist()
        if not pool.crowd[spot] and width * height >= LEAST_SEEN * (x2 - x1) * (y2 - y1):
            boxes.append([x, y, x + width, y + height])
            columns.append(int(pool.columns[spot]))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(columns, np.int64)
