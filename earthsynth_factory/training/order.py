"""Which samples a step sees, and how they may be turned: functions of seed and step alone, so a resumed run goes on alike."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from earthsynth_factory.domain.seeds import derive, rng

__all__ = ["batch", "derive", "dihedral", "generator", "permutation", "rng", "span"]


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """The order of `count` samples in one epoch."""
    return rng(seed, "epoch", epoch).permutation(count)


def batch(seed: int, step: int, count: int, size: int) -> npt.NDArray[np.int64]:
    """Indices (size,) of the samples of one step; epochs follow one another without a short batch between them."""
    return span(seed, step * size, size, count)


def span(seed: int, first: int, size: int, count: int) -> npt.NDArray[np.int64]:
    """Indices (size,) at the places `first` … of the endless order; every sample comes once an epoch of `count` places."""
    places = np.arange(first, first + size)
    return np.array([permutation(seed, int(p) // count, count)[int(p) % count] for p in places], np.int64)


def generator(seed: int, device: torch.device, *parts: int | str) -> torch.Generator:
    """A torch generator for what `parts` name; no generator's state ever has to be stored."""
    return torch.Generator(device).manual_seed(derive(seed, *parts))


def dihedral(array: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    """One of the square's eight symmetries (0–7; 0 is none) of an (H, W[, C]) array; ground has no upright side."""
    turned = np.rot90(array, turn % 4)
    return turned[:, ::-1] if turn >= 4 else turned
