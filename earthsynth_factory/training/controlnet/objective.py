"""What the network is asked to predict: eps, v or flow, as the base model's own scheduler says; and the loss.

Shapes: latents and noise (B, C, h, w); levels (B,): timesteps 0 … T−1 (int64), or σ in (0, 1) for flow. That there are a
global and a local loss is the paper's figure; what the local one averages over is our reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from earthsynth_factory.errors import ModelError

Kind = Literal["epsilon", "v_prediction", "flow"]


class Objective:
    """Noising, target and weight. eps, v: x_t = √ᾱ·x₀ + √(1−ᾱ)·ε; flow: x_σ = (1−σ)·x₀ + σ·ε, target ε − x₀."""

    def __init__(self, scheduler: Mapping[str, Any], device: torch.device) -> None:
        """Raises ModelError if the scheduler predicts something else."""
        self.kind = _kind(scheduler)
        self.steps = int(scheduler["num_train_timesteps"])
        if self.kind != "flow":
            self._alphas = DDPMScheduler.from_config(dict(scheduler)).alphas_cumprod.to(device)

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Levels (B,) of a training batch: uniform timesteps; for flow logit-normal, most of it where layout is decided."""
        if self.kind == "flow":
            return torch.randn(count, generator=random).sigmoid()
        return torch.randint(0, self.steps, (count,), generator=random)

    def at(self, share: float, count: int) -> Tensor:
        """Levels (B,), all at the same share (0–1) of the way to pure noise."""
        level = share if self.kind == "flow" else int(share * (self.steps - 1))
        return torch.full((count,), level)

    def times(self, levels: Tensor) -> Tensor:
        """What the network is told."""
        return levels * self.steps if self.kind == "flow" else levels

    def noisy(self, latents: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """x at the levels."""
        signal, spread = self._scales(levels)
        return signal * latents + spread * noise

    def target(self, latents: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """What the prediction is compared with."""
        if self.kind == "epsilon":
            return noise
        if self.kind == "flow":
            return noise - latents
        signal, spread = self._scales(levels)
        return signal * noise - spread * latents

    def weights(self, levels: Tensor, gamma: float | None) -> Tensor:
        """Weight (B,) of each sample's loss; ones if gamma is None.

        Min-SNR (Hang et al. 2023) weighs the error of x₀ by min(SNR, γ). The error of x₀ is 1/SNR times that of ε, and
        (1−ᾱ) times that of v; σ² times that of the flow, for which the paper gives no formula: the last is ours.
        """
        if gamma is None:
            return torch.ones(len(levels), device=levels.device)
        signal, spread = (scale.flatten() for scale in self._scales(levels))
        snr = (signal / spread.clamp(min=1e-6)) ** 2
        of_x0 = 1 / snr.clamp(min=1e-8) if self.kind == "epsilon" else spread**2
        return snr.clamp(max=gamma) * of_x0

    def _scales(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind == "flow":
            sigma = levels[:, None, None, None]
            return 1 - sigma, sigma
        alpha = self._alphas[levels][:, None, None, None]
        return alpha.sqrt(), (1 - alpha).sqrt()


def _kind(scheduler: Mapping[str, Any]) -> Kind:
    name = str(scheduler.get("_class_name", ""))
    asked = scheduler.get("prediction_type", "epsilon")
    kinds: dict[str, Kind] = {"epsilon": "epsilon", "v_prediction": "v_prediction", "flow_prediction": "flow"}
    if asked not in kinds:
        raise ModelError(f"scheduler {name}: prediction_type {asked!r} is not trained here; known: {', '.join(kinds)}")
    return kinds[asked]


def cells(pixels: Tensor, side: int) -> Tensor:
    """Share (B, h, w) of each latent cell that is so, from bool (B, S, S) and h = w = `side`."""
    return F.adaptive_avg_pool2d(pixels[:, None].float(), side)[:, 0]


def losses(
    predicted: Tensor, target: Tensor, inside: Tensor, known: Tensor, weights: Tensor, local: float
) -> dict[str, Tensor]:
    """`loss` = mean of weights·(global + local·λ), and its parts unweighted, each a scalar.

    predicted, target (B, C, h, w); inside, known (B, h, w) as `cells` gives; weights (B,). What is not known, ignored in
    the mask, is not learnt from. A sample without foreground has no local part.
    """
    error = (predicted.float() - target.float()).square().mean(dim=1)
    everywhere, there = cell_mean(error, known), cell_mean(error, inside)
    return {
        "loss": (weights * (everywhere + local * there)).mean(),
        "global": everywhere.detach().mean(),
        "local": there.detach().mean(),
    }


def cell_mean(error: Tensor, share: Tensor) -> Tensor:
    """Mean (B,) of (B, h, w), each cell by its share; 0 if there is none."""
    whole = share.sum(dim=(1, 2))
    return torch.where(whole > 0, (error * share).sum(dim=(1, 2)) / whole.clamp(min=1e-6), torch.zeros_like(whole))
