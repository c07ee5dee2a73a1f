"""Seeds that belong to a sample, not to a batch, a worker or a moment.

Every random choice of the line comes from a 64-bit seed derived from what it is for: (recipe seed, slot, attempt, …).
The hash is BLAKE2b, so it is the same on every machine and in every Python process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

One = TypeVar("One")


def derive(seed: int, *parts: int | str) -> int:
    """A 63-bit seed for the thing that `parts` name, under the run's `seed`.

    >>> derive(7, "slot", 12) == derive(7, "slot", 12) != derive(7, "slot", 13)
    True
    """
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def rng(seed: int, *parts: int | str) -> np.random.Generator:
    """A numpy generator (PCG64) seeded by `derive`."""
    return np.random.Generator(np.random.PCG64(derive(seed, *parts)))


def unit(seed: int, *parts: int | str) -> float:
    """A number in [0, 1) for the thing that `parts` name."""
    return derive(seed, *parts) / 2**63


def one_of(rng: np.random.Generator, several: Sequence[One]) -> One:
    """What `rng.choice` would draw of them, which takes ten times as long: it makes an array of them first."""
    return several[int(rng.integers(len(several)))]
