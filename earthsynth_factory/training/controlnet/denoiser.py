"""ControlNet and UNet as one module, and which of its parameters learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from earthsynth_factory.training.controlnet import lora
from earthsynth_factory.training.controlnet.base_model import Base, load_unet
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe


class Denoiser(nn.Module):
    """`control` and `unet` are plain diffusers networks."""

    def __init__(self, control: Any, unet: Any) -> None:
        super().__init__()
        self.control, self.unet = control, unet

    def forward(self, noisy: Tensor, times: Tensor, words: Tensor, control: Tensor) -> Tensor:
        """noisy (B, C, h, w), times (B,), words (B, T, D), control (B, 3, S, S) in [0, 1] → prediction (B, C, h, w)."""
        down, middle = self.control(noisy, times, words, control, return_dict=False)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        out: Tensor = self.unet(noisy, times, words, **residuals, return_dict=False)[0]
        return out

    def learning(self) -> dict[str, nn.Parameter]:
        """Trained parameters by name, in the modules' order."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


def build_denoiser(base: Base, recipe: ControlNetRecipe, device: torch.device, dtype: torch.dtype) -> Denoiser:
    """The networks on their device, in channels-last. What is frozen is held in `dtype`, what learns in float32."""
    denoiser = Denoiser(base.control, base.unet)
    denoiser.control.requires_grad_(True)
    denoiser.unet.requires_grad_(recipe.model.train in ("controlnet+unet", "scratch"))
    if recipe.model.train == "lora":
        lora.add(denoiser.unet, recipe.model.lora_rank)
    denoiser.to(device).to(memory_format=torch.channels_last)
    for parameter in denoiser.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    if recipe.optim.checkpointing:
        denoiser.control.enable_gradient_checkpointing()
        denoiser.unet.enable_gradient_checkpointing()
    return denoiser.train()


def compile_denoiser(denoiser: Denoiser) -> None:
    """Compiles in place, block by block where blocks repeat: shapes are fixed, names of parameters stay."""
    denoiser.unet.compile_repeated_blocks()
    denoiser.control.compile()


class Average:
    """Moving average of the trained weights; its memory grows with the updates up to `decay`. 0 keeps none."""

    def __init__(self, learning: dict[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in learning.items()} if decay else {}

    @torch.no_grad()
    def update(self, learning: dict[str, nn.Parameter], updates: int) -> None:
        """Takes in the weights after update number `updates` (from 0)."""
        if self.decay:
            decay = min(self.decay, (1 + updates) / (10 + updates))
            now = [learning[name].detach() for name in self.values]
            torch._foreach_lerp_(list(self.values.values()), now, 1 - decay)

    @torch.no_grad()
    def swap(self, learning: dict[str, nn.Parameter]) -> None:
        """Exchanges the weights with their average; twice is nothing."""
        for name, value in self.values.items():
            kept = learning[name].detach().clone()
            learning[name].copy_(value)
            value.copy_(kept)


def merged_unet(denoiser: Denoiser, base: Base) -> Any:
    """The UNet with low-rank updates folded into the base's own weights, in float32; itself if there are none.

    What is frozen may be held in bfloat16 while it trains: exported it is what the base's files say.
    """
    if not any(isinstance(module, lora.TrainedLowRank) for module in denoiser.unet.modules()):
        return denoiser.unet
    unet = load_unet(base.files).to(denoiser.unet.device)
    lora.merge_lora(denoiser.unet, unet)
    return unet
