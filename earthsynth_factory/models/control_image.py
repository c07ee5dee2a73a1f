"""The control image of a mask, in the encoding a model was trained with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from earthsynth_factory.domain.condition import Mask
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Taxonomy
from earthsynth_factory.models.card import ModelCard


def control_lut(card: ModelCard, taxonomy: Taxonomy) -> torch.Tensor:
    """(256, 3) float32 in [0, 1]: what each class id looks like to the ControlNet.

    `class-id`: id/255 in all three channels, as in EarthSynth's demo control image. `palette`: the taxonomy's colours.
    What is ignored looks like background: no model was shown it.
    """
    if card.control == "class-id":
        lut = (torch.arange(256, dtype=torch.float32) / 255)[:, None].repeat(1, 3)
    else:
        lut = torch.tensor(taxonomy.palette(), dtype=torch.float32).reshape(256, 3) / 255
    lut[IGNORE] = lut[BACKGROUND]
    return lut


def control_images(masks: Sequence[Mask], lut: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) float32 in [0, 1] for B masks of one size."""
    ids = torch.from_numpy(np.stack(masks).astype(np.int64))
    return lut[ids].permute(0, 3, 1, 2).contiguous()
