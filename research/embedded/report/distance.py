"""How far two sets of images are apart, by their feature vectors: KID and FID.

Shapes: features float (N, D). Sources: KID, Bińkowski et al., Demystifying MMD GANs (2018); FID, Heusel et al., GANs
Trained by a Two Time-Scale Update Rule (2017). Both use an Inception network there; here the features are given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import rng

Features = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Distance:
    """KID with its spread over subsets, and FID, of `count` images against as many."""

    kid: float
    kid_spread: float
    fid: float
    count: int


def across_halves(real: Features, other: Features, seed: int) -> Distance:
    """The distance of one half of `other` to the other half of `real`, mean of both ways round.

    Rows belong together: other[i] was made for the mask of real[i]. So with `other` the real features themselves this is
    the floor that no generator need be under: the same sizes, the same masks, and never an image against its own.
    """
    order = rng(seed, "halves").permutation(len(real))
    size = len(real) // 2
    first, second = order[:size], order[size : 2 * size]
    pairs = ((other[first], real[second]), (other[second], real[first]))
    kids = np.mean([kid(x, y, seed) for x, y in pairs], axis=0)
    return Distance(float(kids[0]), float(kids[1]), float(np.mean([frechet(x, y) for x, y in pairs])), size)


def polynomial_mmd(x: Features, y: Features) -> float:
    """Unbiased squared MMD under the kernel (x·y / D + 1)³; may be slightly negative. Needs two of each at least."""
    n, m, depth = len(x), len(y), x.shape[1]
    xx, yy, xy = ((a @ b.T / depth + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def kid(x: Features, y: Features, seed: int, subset: int = 200, subsets: int = 50) -> tuple[float, float]:
    """Mean and standard deviation of `polynomial_mmd` over random subsets of both sets (at most half of either)."""
    size = max(2, min(subset, len(x) // 2, len(y) // 2))
    values = []
    for number in range(subsets):
        random = rng(seed, "kid", number)
        values.append(polynomial_mmd(x[random.permutation(len(x))[:size]], y[random.permutation(len(y))[:size]]))
    return float(np.mean(values)), float(np.std(values))


def frechet(x: Features, y: Features) -> float:
    """FID: |μx − μy|² + tr(Σx + Σy − 2 (Σx Σy)^½), the distance of the two Gaussians. Biased upwards on few samples."""
    gap = x.mean(axis=0) - y.mean(axis=0)
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = _root(first)
    # (Σx Σy)^½ has the eigenvalues of the symmetric (Σx^½ Σy Σx^½)^½, which needs no complex arithmetic.
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * cross)


def _root(matrix: Features) -> Features:
    values, vectors = np.linalg.eigh(matrix)
    root: Features = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root
