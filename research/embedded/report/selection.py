"""Which crops are used: shares and numbers that go evenly over the categories. Pure and seeded."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import rng
from research.embedded.crops import CropSet

Picks = npt.NDArray[np.int64]


def balanced(focus: npt.NDArray[np.uint8], count: int, seed: int) -> Picks:
    """`count` places (all if there are fewer), ascending, the categories of `focus` in turn."""
    order = rng(seed, "balanced").permutation(len(focus))
    turn = np.empty(len(focus), np.int64)
    for category in np.unique(focus):
        members = order[focus[order] == category]
        turn[members] = np.arange(len(members))
    return np.sort(np.lexsort((focus, turn))[:count])


def better_half(focus: npt.NDArray[np.uint8], scores: npt.NDArray[np.float64]) -> Picks:
    """Within every category the half (rounded up) of the highest scores; places, ascending."""
    kept = []
    for category in np.unique(focus):
        members = np.flatnonzero(focus == category)
        best = np.argsort(-scores[members], kind="stable")[: -(-len(members) // 2)]
        kept.append(members[best])
    return np.sort(np.concatenate(kept))


def digest(crops: CropSet) -> str:
    """32 hexadecimal digits that name the crops' content."""
    found = hashlib.blake2b(digest_size=16)
    for part in (crops.images, crops.masks, crops.metres_per_pixel, crops.focus, crops.dense):
        found.update(f"{part.dtype} {part.shape}".encode())
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()
