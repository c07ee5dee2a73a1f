"""Copy-paste over a whole set of crops, made once before the embedded model's training.

EarthSynth's CF-Comp selects partners within a batch (`select`). Choosing them over the whole set, by scale and rarity,
is ours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.training.cf_comp.compose import paste
from research.embedded.crops import CropSet

MIN_SHARE, MAX_SHARE = 0.002, 0.6
"""Area that a partner's objects may take of the composed mask: neither specks nor nothing left of the base."""


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
