"""The three dimensions of selection as scores. That there are three is the paper's; what they measure is our reading.

Every score is a (B, B) float64 array in [0, 1]: row i is the base, column j the donor whose regions would be pasted on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FAR = 0.25
"""Distance in looks at which two scenes count as 63 % different; about that of fields and a town in summer imagery."""

GRID = 128
"""Overlaps are measured on at most this many rows and columns."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Members:
    """What the choice knows of a batch of B samples.

    masks: uint8 (B, H, W) class ids. looks: float (B, 6), mean and deviation of red, green and blue, 0–1.
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


def rarity(samples_with: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """(256,) in (0, 1] from the number of samples that hold each class: √(fewest / number); 1 where there is none."""
    held = np.where(samples_with > 0, samples_with, 1)
    fewest = held[samples_with > 0].min() if (samples_with > 0).any() else 1
    return np.sqrt(np.minimum(fewest / held, 1.0))


def image_score(members: Members) -> Scores:
    """How different two scenes look. From another dataset: at least one half, whatever the colours."""
    distance = np.linalg.norm(members.colour_stats[:, None] - members.colour_stats[None], axis=2)
    differ = 1 - np.exp(-distance / FAR)
    elsewhere = members.sources[:, None] != members.sources[None]
    return np.asarray(np.where(elsewhere, (1 + differ) / 2, differ), np.float64)


def mask_score(members: Members, regions: npt.NDArray[np.bool_], area: tuple[float, float]) -> Scores:
    """1 less the share of the donor's regions (B, H, W) that would hide objects of the base; 0 outside `area`."""
    step = max(1, members.masks.shape[1] // GRID)
    objects = members.things[members.masks[:, ::step, ::step]].reshape(len(members), -1).astype(np.float64)
    pasted = regions[:, ::step, ::step].reshape(len(members), -1).astype(np.float64)
    hidden = (objects @ pasted.T) / np.maximum(pasted.sum(axis=1), 1)
    share = regions.mean(axis=(1, 2))
    fits = (share >= area[0]) & (share <= area[1])
    return np.asarray((1 - hidden) * fits, np.float64)


def text_score(members: Members, brought: npt.NDArray[np.bool_]) -> Scores:
    """The rarity of the rarest class that the donor brings, (B, 256), and the base lacks; 0 where it brings no new one."""
    present = members.shares() > 0
    new = brought[None, :, :] & ~present[:, None, :]
    return np.asarray((new * members.rarity).max(axis=2), np.float64)
