"""From noise to latents with text encoder, UNet and ControlNet: the pipeline's own way, open to gradients.

Shapes: latents (B, C, s, s); control (B, 3, S, S) in [0, 1]; tokens (B, TOKENS).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from research.embedded.networks import build_scheduler
from research.embedded.precision import autocast


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is to be drawn."""

    control: Tensor
    tokens: Tensor

    def joined(self, other: Conditions) -> Conditions:
        """These and then the other's."""
        control = torch.cat([self.control, other.control]).contiguous(memory_format=torch.channels_last)
        return Conditions(control, torch.cat([self.tokens, other.tokens]))


def predict(modules: Mapping[str, nn.Module], noisy: Tensor, time: Tensor, words: Tensor, control: Tensor) -> Tensor:
    """ε − x₀ as the networks see it, float32; time (B,) is 1000·σ."""
    with autocast(noisy.device):
        down, middle = modules["control"](noisy, time, words, control, return_dict=False)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        out: Tensor = modules["unet"](noisy, time, words, **residuals, return_dict=False)[0]
    return out.float()


def read(modules: Mapping[str, nn.Module], tokens: Tensor) -> Tensor:
    """The text encoder's states (B, TOKENS, width)."""
    with autocast(tokens.device):
        words: Tensor = modules["text"](tokens).last_hidden_state
    return words


def draw(modules: Mapping[str, nn.Module], noise: Tensor, what: Conditions, steps: int) -> Tensor:
    """Latents after `steps` steps of the pipeline's scheduler."""
    words = read(modules, what.tokens)
    x = noise
    for time, sigma, after in noise_levels(steps):
        velocity = predict(modules, x, torch.full((len(x),), time, device=x.device), words, what.control)
        x = _next(x, velocity, sigma, after)
    return x


def draw_guided(
    modules: Mapping[str, nn.Module], noise: Tensor, what: Conditions, nothing: Conditions, steps: int, guidance: float
) -> Tensor:
    """The same, led away from what the networks draw for `nothing` (of the same size)."""
    both = what.joined(nothing)
    words = read(modules, both.tokens)
    x = noise
    for time, sigma, after in noise_levels(steps):
        twice = torch.cat([x, x]).contiguous(memory_format=torch.channels_last)
        times = torch.full((len(twice),), time, device=x.device)
        conditioned, free = predict(modules, twice, times, words, both.control).chunk(2)
        x = _next(x, free + guidance * (conditioned - free), sigma, after)
    return x


def noise_levels(steps: int) -> list[tuple[float, float, float]]:
    """(timestep, σ, the next σ) of each step, as the pipeline's scheduler has them."""
    scheduler = build_scheduler(steps)
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.tolist()
    return list(zip(scheduler.timesteps.float().tolist(), sigmas[:-1], sigmas[1:], strict=True))


def _next(x: Tensor, velocity: Tensor, sigma: float, after: float) -> Tensor:
    clean = x - sigma * velocity
    return after / sigma * x + (1 - after / sigma) * clean
