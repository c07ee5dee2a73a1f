"""What the networks compute in while they learn."""

from __future__ import annotations

import torch

from earthsynth_factory.models.device import pick_dtype
from earthsynth_factory.training.controlnet.base_model import Base
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe


def training_dtype(recipe: ControlNetRecipe, base: Base, device: torch.device) -> tuple[torch.dtype, str | None]:
    """The dtype, and in words why it is not the one that was asked for."""
    dtype = pick_dtype(recipe.run.precision, device)
    if dtype is torch.float16:
        return torch.float32, None  # its gradients would overflow
    if dtype is torch.bfloat16 and device.type == "cpu" and halves_a_single_cell(base, recipe.size):
        note = (
            f"computed in float32: at size {recipe.size} the base's lowest level is a single cell, of which bfloat16 "
            "on a processor gives wrong gradients"
        )
        return torch.float32, note
    return dtype, None


def halves_a_single_cell(base: Base, size: int) -> bool:
    """Whether a stride-2 convolution is given a map of 1 × 1.

    In bfloat16 on a CPU (torch 2.14, oneDNN) its weight's gradient is what lay in memory: 1e14 or no number, in most
    calls. Maps of 2 × 2 and more, other strides and the forward pass are right.
    """
    levels = len(base.unet.config.block_out_channels)
    return levels > 1 and size // base.shrink <= 2 ** (levels - 2)
