"""How far two sets of images are apart, by their feature vectors: KID and FID.

Shapes: features float (N, D). Source of FID: Heusel et al., GANs Trained by a Two Time-Scale Update Rule (2017), with
an Inception network there; here the features are given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.evaluation.kid import Features, kid


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
    kids = [kid(x, y, seed) for x, y in pairs]
    mean, spread = (float(np.mean([getattr(one, name) for one in kids])) for name in ("mean", "spread"))
    return Distance(mean, spread, float(np.mean([frechet(x, y) for x, y in pairs])), size)


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
