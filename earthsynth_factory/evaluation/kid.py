"""How far two sets of images are apart by their feature vectors: KID.

Shapes: features float (N, D). Source: Bińkowski et al., Demystifying MMD GANs (2018), with Inception's features there; here
the features are given, so figures compare only with figures of the same features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import rng

Features = npt.NDArray[np.float64]

SUBSET, SUBSETS = 200, 50


@dataclass(frozen=True, slots=True)
class Kid:
    """Mean and standard deviation over random subsets of `size` images from either set."""

    mean: float
    spread: float
    size: int


def polynomial_mmd(x: Features, y: Features) -> float:
    """Unbiased squared MMD under the kernel (x·y / D + 1)³; may be slightly negative. Needs two rows of each at least."""
    n, m, depth = len(x), len(y), x.shape[1]
    xx, yy, xy = ((a @ b.T / depth + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def kid(x: Features, y: Features, seed: int, subset: int = SUBSET, subsets: int = SUBSETS) -> Kid:
    """`polynomial_mmd` over random subsets of both sets (at most half of either, two rows at least)."""
    size = max(2, min(subset, len(x) // 2, len(y) // 2))
    values = []
    for number in range(subsets):
        random = rng(seed, "kid", number)
        values.append(polynomial_mmd(x[random.permutation(len(x))[:size]], y[random.permutation(len(y))[:size]]))
    return Kid(float(np.mean(values)), float(np.std(values)), size)


def standardised(reference: Features, *others: Features) -> list[Features]:
    """`reference` and `others` with every feature at mean 0 and deviation 1 over `reference`: no single one outweighs."""
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    return [(part - mean) / scale for part in (reference, *others)]
