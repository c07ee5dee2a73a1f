"""The pasting itself: in place, at its own size, unblended; and what a composed scene is called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.training.cf_comp.select import Choice

Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""An image, RGB uint8 (H, W, 3), and its mask of class ids, uint8 (H, W)."""


def paste(base: Pair, partner: Pair, chosen: npt.NDArray[np.bool_]) -> Pair:
    """x' = M·x_j + (1−M)·x_i and y' = where(M, y_j, y_i), for i = base, j = partner and M = `chosen`, bool (H, W).

    That pixels keep place and size and are not blended is the paper's figure; that M is part of the partner's foreground
    is our reading. Raises ValueError if the sizes differ.
    """
    (image_i, mask_i), (image_j, mask_j) = base, partner
    if not image_i.shape[:2] == image_j.shape[:2] == mask_i.shape == mask_j.shape == chosen.shape:
        raise ValueError(f"sizes differ: {image_i.shape}, {image_j.shape}, {mask_i.shape}, {mask_j.shape}")
    return np.where(chosen[..., None], image_j, image_i), np.where(chosen, mask_j, mask_i)


@dataclass(frozen=True, eq=False, slots=True)
class Composed:
    """A choice with the pairs it stands for, the pasted region bool (S, S), and the composed scene's prompt."""

    choice: Choice
    base: Pair
    donor: Pair
    region: npt.NDArray[np.bool_]
    text: str

    @property
    def scene(self) -> Pair:
        """The composed image and mask."""
        return paste(self.base, self.donor, self.region)
