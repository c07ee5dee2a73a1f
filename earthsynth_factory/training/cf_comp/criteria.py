"""The three dimensions of selection within a batch; `domain.partners` says what they measure.

Every score is a (B, B) float64 array in [0, 1]: row i is the base, column j the donor whose regions would be pasted on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain import partners
from earthsynth_factory.domain.partners import Scores

GRID = 128
"""Overlaps are measured on at most this many rows and columns."""


@dataclass(frozen=True, eq=False, slots=True)
class BatchScenes:
    """What the choice knows of a batch of B samples.

    masks: uint8 (B, H, W) class ids. colour_stats: float (B, 6), mean and deviation of red, green and blue, 0–1.
    sources: (B,) names of the datasets the samples come from. rarity: float (256,) in (0, 1], 1 for the rarest class.
    things: bool (256,), which classes are countable objects.
    """

    masks: npt.NDArray[np.uint8]
    colour_stats: npt.NDArray[np.floating]
    sources: npt.NDArray[np.str_]
    rarity: npt.NDArray[np.floating]
    things: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.masks)

    def shares(self) -> Scores:
        """(B, 256) share of each sample's pixels that each class has."""
        counts = np.stack([np.bincount(mask.ravel(), minlength=256) for mask in self.masks])
        return np.asarray(counts / self.masks[0].size, np.float64)


def batch_image_score(members: BatchScenes) -> Scores:
    """How different two scenes look. From another dataset: at least one half, whatever the colours."""
    elsewhere = members.sources[:, None] != members.sources[None]
    return partners.image_score(members.colour_stats, members.colour_stats, elsewhere)


def batch_mask_score(members: BatchScenes, regions: npt.NDArray[np.bool_], area: tuple[float, float]) -> Scores:
    """1 less the share of the donor's regions (B, H, W) that would hide objects of the base; 0 outside `area`."""
    step = max(1, members.masks.shape[1] // GRID)
    objects = members.things[members.masks[:, ::step, ::step]].reshape(len(members), -1)
    share = regions.mean(axis=(1, 2))
    fits = (share >= area[0]) & (share <= area[1])
    scores = partners.mask_score(objects, regions[:, ::step, ::step].reshape(len(members), -1))
    return np.asarray(scores * fits, np.float64)


def batch_text_score(members: BatchScenes, brought: npt.NDArray[np.bool_]) -> Scores:
    """The rarity of the rarest class that the donor brings, (B, 256), and the base lacks; 0 if it brings no new one."""
    return partners.text_score(members.shares() > 0, brought, members.rarity)
