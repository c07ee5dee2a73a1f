"""For devices of little memory: attention in slices, and networks that take turns on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from earthsynth_factory.errors import ModelError

Turn = Literal["words", "denoising", "pixels"]

PARTS: Mapping[Turn, tuple[str, ...]] = {
    "words": ("text_encoder", "text_encoder_2", "image_encoder"),
    "denoising": ("unet", "controlnet"),
    "pixels": ("vae",),
}
"""Turn → the parts of diffusers' pipelines that work in it."""


def slice_attention(pipe: Any) -> None:
    """Self-attention for half of an image's heads at a time, so that fewer of its matrices are in memory at once.

    Attention to words is left as it is: its matrices are small, and an IP-Adapter sits there.
    """
    from diffusers.models.attention_processor import Attention

    for network in (pipe.unet, pipe.controlnet, pipe.vae):
        for module in network.modules():
            if isinstance(module, Attention) and not module.is_cross_attention:
                module.set_attention_slice(max(1, module.sliceable_head_dim // 2))


def check_offload(device: torch.device) -> None:
    """Raises ModelError if parts have no other memory to wait in than the device's own."""
    if device.type != "cuda":
        raise ModelError(
            f"offload: parts wait in the machine's memory while a GPU works, and the device is {device.type}, whose "
            "memory that is; leave `offload` out, or set engine.device to cuda"
        )


class Turns:
    """A pipeline's networks on a device by turns: those of one turn are there, the others wait in the machine's memory."""

    def __init__(self, pipe: Any, device: torch.device) -> None:
        self._device = device
        parts = {turn: [getattr(pipe, name, None) for name in names] for turn, names in PARTS.items()}
        self._parts = {turn: [part for part in found if isinstance(part, nn.Module)] for turn, found in parts.items()}

    def begin(self, turn: Turn) -> None:
        """Bring the networks of a turn, after all others have gone; what is in its place already is not moved."""
        for other, parts in self._parts.items():
            for part in parts if other != turn else ():
                part.to("cpu")
        for part in self._parts[turn]:
            part.to(self._device)
