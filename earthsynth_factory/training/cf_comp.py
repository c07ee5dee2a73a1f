"""Copy-paste in the manner of CF-Comp: objects keep place and size, the mask is the union. Pure numpy.

EarthSynth's CF-Comp (arXiv 2505.12108) selects partners within a batch; its figure shows pasting without move, scale or
blend. Choosing partners over the whole set, by scale and rarity, is our reading.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.training.crops import CropSet

MIN_SHARE, MAX_SHARE = 0.002, 0.6
"""Area that a partner's objects may take of the composed mask: neither specks nor nothing left of the base."""


def paste(
    base: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    partner: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    chosen: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """x' = M·x_j + (1−M)·x_i and y' = where(M, y_j, y_i), for (image (S, S, 3), mask (S, S)) pairs and M = `chosen`."""
    (image_i, mask_i), (image_j, mask_j) = base, partner
    return np.where(chosen[..., None], image_j, image_i), np.where(chosen, mask_j, mask_i)


def foreground(masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where a mask shows a countable object (taxonomy's `thing`); any shape."""
    table = np.zeros(256, bool)
    table[[category.id for category in earthsynth() if category.thing]] = True
    return table[masks]


def compose(crops: CropSet, count: int, seed: int) -> CropSet:
    """`count` compositions: objects of sparsely labelled crops on densely labelled ones of a similar scale.

    Partners come in turn from every category (rare ones as often as common ones). A base is drawn with a weight that
    halves with each doubling of the scale ratio. Metres per pixel are the base's.
    """
    generator = rng(seed, "compose")
    objects = foreground(crops.masks)
    share = objects.mean(axis=(1, 2))
    partners = np.flatnonzero(~crops.dense & (share >= MIN_SHARE) & (share <= MAX_SHARE))
    bases = np.flatnonzero(crops.dense)
    categories = np.unique(crops.focus[partners])
    i, j = np.empty(count, np.int64), np.empty(count, np.int64)
    for k in range(count):
        j[k] = generator.choice(partners[crops.focus[partners] == categories[k % len(categories)]])
        octaves = np.abs(np.log2(crops.metres_per_pixel[bases] / crops.metres_per_pixel[j[k]]))
        weight = 0.5**octaves
        i[k] = generator.choice(bases, p=weight / weight.sum())
    pairs = [
        paste((crops.images[a], crops.masks[a]), (crops.images[b], crops.masks[b]), objects[b])
        for a, b in zip(i, j, strict=True)
    ]
    images, masks = zip(*pairs, strict=True)
    return CropSet(np.stack(images), np.stack(masks), crops.metres_per_pixel[i], crops.focus[j], np.ones(count, bool))
