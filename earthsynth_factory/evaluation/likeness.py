"""How made images look to a network that none of our own trained, beside how real ones differ among themselves.

All from EfficientNet-Lite0's features, standardised on the real training images. KID says how far two sets are apart;
`memorised` how many made images have a real one nearer than real images have one another; `diversity` how far the made
ones lie apart, in parts of what real ones do.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.evaluation.features import PACKAGE, FeatureExtractor
from earthsynth_factory.evaluation.kid import kid, standardised
from earthsynth_factory.evaluation.members import SYNTHETIC, TRAIN
from earthsynth_factory.evaluation.pool import Pool

MOST = 1000
"""Images of either part that are looked at."""
LEAST = 8
"""Images of either part, below which nothing is said."""
SIDE = 64
"""Pixels an image needs: smaller ones have a single cell at the highest depth, and no spread."""
NEAR = "mid"
"""Depth at which neighbours are looked for: parts of things, neither grain nor gist."""
CLOSE = 0.01
"""A made image nearer to a real one than this part of real images is to its nearest counts as memorised."""

Features = npt.NDArray[np.float64]


def likeness(pool: Pool, device: str, seed: int) -> dict[str, Any] | None:
    """KID by depth, × 1000, with its spread; diversity; memorised. None without the extra, and for few or small images."""
    real, made = (_some(pool.of(part), seed) for part in (TRAIN, SYNTHETIC))
    if find_spec(PACKAGE) is None or min(len(real), len(made)) < LEAST or pool.side < SIDE:
        return None
    extract = FeatureExtractor(device)
    ours, theirs = (extract(np.asarray(pool.images[places])) for places in (real, made))
    found: dict[str, Any] = {"images": {"real": len(real), "synthetic": len(made)}, "kid": {}, "words": {}}
    for depth, reference in ours.items():
        scaled, other = standardised(reference, theirs[depth])
        pair = {"real": _halves(scaled, seed), "synthetic": _against(scaled, other, seed)}
        found["kid"][depth] = pair
        found["words"][depth] = f"{_told(pair['synthetic'])}; real against real {_told(pair['real'])}"
        if depth == NEAR:
            found |= _neighbours(scaled, other)
    return found


def _some(places: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    return np.sort(places[rng(seed, "looks").permutation(len(places))[:MOST]])


def _halves(features: Features, seed: int) -> Mapping[str, float]:
    order = rng(seed, "halves").permutation(len(features))
    half = len(order) // 2
    return _against(features[order[:half]], features[order[half:]], seed)


def _against(one: Features, other: Features, seed: int) -> Mapping[str, float]:
    found = kid(one, other, seed)
    return {"kid": round(1000 * found.mean, 1), "spread": round(1000 * found.spread, 1)}


def _told(found: Mapping[str, float]) -> str:
    return f"{found['kid']:,.0f} ± {found['spread']:,.0f}".replace("-", "−")


def _neighbours(real: Features, made: Features) -> dict[str, Any]:
    """diversity: mean distance of made images to their nearest made one, in parts of the same of real ones."""
    among, across, within = _nearest(real, real, True), _nearest(made, real, False), _nearest(made, made, True)
    return {
        "memorised": int((across < np.quantile(among, CLOSE)).sum()),
        "diversity": round(float(within.mean() / max(1e-12, among.mean())), 3),
    }


def _nearest(ones: Features, others: Features, same: bool) -> Features:
    """(n,) distance of each to the nearest other; `same`: the two are one set, and nothing is its own neighbour."""
    squares = (ones**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * ones @ others.T
    if same:
        np.fill_diagonal(squares, np.inf)
    return np.asarray(np.sqrt(squares.clip(min=0)).min(axis=1))
