"""Who suits whom: the three dimensions by which CF-Comp chooses what is pasted on what, as scores.

That there are three is the paper's (EarthSynth, arXiv 2505.12108); what they measure is our reading. The trainer chooses
partners of a batch by them, and `compose` the grounds and objects of a picture.

A score is in [0, 1] and stands in an (A, B) float64 array: row a is the base, column b the donor that is pasted on it. Colour
statistics are (n, 6): mean and deviation of red, green and blue, 0–1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

FAR = 0.25
"""Distance in colour statistics at which two scenes count as 63 % different; about that of fields and a town in summer."""

LEAST = 1e-3
"""What a score is at least: a poor partner is unlikely, and still better than none."""

Scores = npt.NDArray[np.float64]


def colour_stats_of(pixels: npt.NDArray[np.uint8]) -> tuple[float, ...]:
    """Mean and deviation of red, green and blue of an RGB image (H, W, 3), each 0–1."""
    flat = pixels.reshape(-1, 3).astype(np.float32) / 255
    return tuple(round(float(value), 5) for value in (*flat.mean(axis=0), *flat.std(axis=0)))


def rarity(samples_with: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """(256,) in (0, 1] from the number of samples that hold each class: √(fewest / number); 1 if there is none."""
    held = np.where(samples_with > 0, samples_with, 1)
    fewest = held[samples_with > 0].min() if (samples_with > 0).any() else 1
    return np.sqrt(np.minimum(fewest / held, 1.0))


def image_score(
    bases: npt.NDArray[np.floating], donors: npt.NDArray[np.floating], elsewhere: npt.NDArray[np.bool_]
) -> Scores:
    """How different the colours (A, 6) and (B, 6) are. From another dataset (A, B): at least one half, whatever they are."""
    distance = np.linalg.norm(bases[:, None] - donors[None], axis=2)
    differ = 1 - np.exp(-distance / FAR)
    return np.asarray(np.where(elsewhere, (1 + differ) / 2, differ), np.float64)


def mask_score(objects: npt.NDArray[np.bool_], regions: npt.NDArray[np.bool_]) -> Scores:
    """1 less the share of the donors' regions (B, P) that would hide objects (A, P) of the base; P: pixels."""
    pasted = regions.astype(np.float64)
    return np.asarray(1 - (objects.astype(np.float64) @ pasted.T) / np.maximum(pasted.sum(axis=1), 1), np.float64)


def text_score(
    present: npt.NDArray[np.bool_], brought: npt.NDArray[np.bool_], rare: npt.NDArray[np.floating]
) -> Scores:
    """The rarity (256,) of the rarest class that a donor (B, 256) brings and the base (A, 256) lacks; 0 if it brings no
    new one."""
    new = brought[None, :, :] & ~present[:, None, :]
    return np.asarray((new * rare).max(axis=2), np.float64)


def combined(scores: Mapping[str, Scores], weights: Mapping[str, float], shape: tuple[int, ...]) -> Scores:
    """The scores as one of that shape, each to the power of its weight."""
    product = np.ones(shape)
    for name, score in scores.items():
        product *= np.maximum(score, LEAST) ** weights[name]
    return product
