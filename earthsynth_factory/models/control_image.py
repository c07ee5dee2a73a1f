"""The control image of a mask, in the encoding a model was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from earthsynth_factory.domain.condition import InstanceMap, Mask
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


def height_lut(heights: Mapping[int, float]) -> torch.Tensor:
    """(256, 3) float32 in [0, 1]: class id → its height, the highest of them 1. Ids that are not named lie at 0."""
    lut = torch.zeros(256, 3)
    highest = max(heights.values(), default=0)
    for class_id, metres in heights.items():
        lut[class_id] = metres / highest if highest else 0
    return lut


def edge_images(masks: Sequence[Mask], instances: Sequence[InstanceMap]) -> torch.Tensor:
    """(B, 3, H, W) float32: 1 where a pixel's class or object is another than the one right of it or below it, else 0."""
    edges = np.zeros((len(masks), *masks[0].shape), bool)
    for ids in (np.stack(masks), np.stack(instances)):
        edges[:, :, :-1] |= ids[:, :, :-1] != ids[:, :, 1:]
        edges[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    return torch.from_numpy(edges).float()[:, None].repeat(1, 3, 1, 1)


def control_images(masks: Sequence[Mask], lut: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) float32 in [0, 1] for B masks of one size."""
    ids = torch.from_numpy(np.stack(masks).astype(np.int64))
    return lut[ids].permute(0, 3, 1, 2).contiguous()
