"""From noise to pixels: the denoising loop, which runs guidance and control only as long as they act.

It computes what diffusers' own pipeline computes. That one runs the ControlNet in every step, also where its residuals count
nothing, and guidance as one pass of the double batch; here each network sees one fixed shape whether guided or not, so that
it is compiled once, and what is switched off is not run.

Shapes: B images; latents (B, C, h, w); words (B, T, D); control images (B, 3, H, W) in [0, 1].
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from earthsynth_factory.models.card import Scheduler

DECODED_PIXELS = 8 * 512**2
"""Most pixels that are decoded at once: an autoencoder's widest layers need a hundred times their memory."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the denoising runs. guidance 1 or less turns classifier-free guidance off (half the work).

    guidance_end, control_end: share of the steps after which guidance, or the ControlNet, is left out.
    """

    steps: int
    guidance: float
    scheduler: Scheduler
    control_scale: float
    negative_prompt: str
    guidance_end: float = 1.0
    control_end: float = 1.0

    @property
    def guided(self) -> bool:
        """Whether there are steps with classifier-free guidance."""
        return self.guidance > 1 and self.guidance_end > 0


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """What a batch is made from. unguided: words of the negative prompt, None where `Sampling.guided` is False.

    start: what to begin at; None for noise alone.
    """

    words: Tensor
    unguided: Tensor | None
    control: Tensor
    generators: Sequence[torch.Generator]
    start: Start | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """Pictures that are to be changed rather than made. latents: theirs, (B, C, h, w), scaled. noise: of the same shape.

    strength: share of the steps that is run, in (0, 1]: how far from the picture it may go.
    """

    latents: Tensor
    noise: Tensor
    strength: float


def denoise(
    pipe: Any, sampling: Sampling, request: Request, on_step: Callable[[int, int], None] = lambda *_: None
) -> Tensor:
    """Latents (B, C, h, w) float32. pipe: a StableDiffusionControlNetPipeline, whose scheduler is used up and set anew.

    on_step: called with the steps done and those there are, before the first and after each.
    """
    device, dtype, scheduler = request.words.device, pipe.unet.dtype, pipe.scheduler
    scheduler.set_timesteps(sampling.steps, device=device)
    times, latents = _begin(pipe, sampling, request)
    extra = {"generator": list(request.generators)} if _takes_generator(scheduler) else {}
    residuals = _Residuals(pipe, request, sampling.control_scale)
    strength = _strength_input(pipe, sampling, request)
    count = len(times)
    for place, time in enumerate(times):
        on_step(place, count)
        acts = (place + 1) / count <= sampling.control_end
        seen = scheduler.scale_model_input(latents, time).to(dtype).contiguous(memory_format=torch.channels_last)
        predicted = _predict(pipe, seen, time, request.words, residuals(seen, time, request.words, acts), strength)
        if strength is None and request.unguided is not None and place / count < sampling.guidance_end:
            base = _predict(pipe, seen, time, request.unguided, residuals(seen, time, request.unguided, acts), strength)
            predicted = base + sampling.guidance * (predicted - base)
        latents = scheduler.step(predicted, time, latents, **extra, return_dict=False)[0]
    on_step(count, count)
    return latents


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) in [0, 1] of latents, a few images at once; all by one shape, so that their place says nothing."""
    latents = (latents / vae.config.scaling_factor).to(vae.dtype)
    pixels = latents.shape[-2] * latents.shape[-1] * 4 ** (len(vae.config.block_out_channels) - 1)
    most = max(1, DECODED_PIXELS // pixels)
    at_once = max(n for n in range(1, len(latents) + 1) if len(latents) % n == 0 and n <= most)
    parts = [vae.decode(part, return_dict=False)[0] for part in torch.split(latents, at_once)]
    return (torch.cat(parts).float() / 2 + 0.5).clamp(0, 1)


def encode(vae: Any, pixels: Tensor) -> Tensor:
    """Latents (B, C, h, w) float32, scaled, of pixels (B, 3, H, W) in [0, 1]; the mode of the encoder's distribution."""
    seen = (pixels * 2 - 1).to(vae.device, vae.dtype).contiguous(memory_format=torch.channels_last)
    latents: Tensor = vae.encode(seen).latent_dist.mode().float() * vae.config.scaling_factor
    return latents


def _begin(pipe: Any, sampling: Sampling, request: Request) -> tuple[Tensor, Tensor]:
    """The times still to go, and the latents at the first of them. Pictures enter as far along as `strength` says."""
    scheduler, start = pipe.scheduler, request.start
    if start is None:
        return scheduler.timesteps, _noise(pipe, request).to(request.words.device) * scheduler.init_noise_sigma
    first = (sampling.steps - max(1, round(sampling.steps * start.strength))) * scheduler.order
    times = scheduler.timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    latents = start.latents.to(request.words.device)
    return times, scheduler.add_noise(latents, start.noise.to(latents), times[:1].repeat(len(latents)))


class _Residuals:
    """What the ControlNet adds to the UNet; zeros of the same shapes, made once, where it no longer acts."""

    def __init__(self, pipe: Any, request: Request, scale: float) -> None:
        self._control, self._image, self._scale = pipe.controlnet, request.control, scale
        self._zeros: dict[str, Any] | None = None

    def __call__(self, seen: Tensor, time: Tensor, words: Tensor, acts: bool) -> dict[str, Any]:
        if not acts and self._zeros is not None:
            return self._zeros
        down, middle = self._control(seen, time, words, self._image, conditioning_scale=self._scale, return_dict=False)
        if acts:
            return _as_arguments(down, middle)
        self._zeros = _as_arguments([torch.zeros_like(one) for one in down], torch.zeros_like(middle))
        return self._zeros


def _as_arguments(down: Sequence[Tensor], middle: Tensor) -> dict[str, Any]:
    return {"down_block_additional_residuals": tuple(down), "mid_block_additional_residual": middle}


def _predict(
    pipe: Any, seen: Tensor, time: Tensor, words: Tensor, residuals: dict[str, Any], strength: Tensor | None
) -> Tensor:
    predicted: Tensor = pipe.unet(seen, time, words, timestep_cond=strength, **residuals, return_dict=False)[0]
    return predicted.float()


def _strength_input(pipe: Any, sampling: Sampling, request: Request) -> Tensor | None:
    """The guidance as an input, for distilled UNets that have learnt it; None for others."""
    width = pipe.unet.config.time_cond_proj_dim
    if width is None:
        return None
    guidance = torch.full((len(request.words),), sampling.guidance - 1)
    embedding: Tensor = pipe.get_guidance_scale_embedding(guidance, embedding_dim=width)
    return embedding.to(request.words.device, pipe.unet.dtype)


def _noise(pipe: Any, request: Request) -> Tensor:
    """Drawn on the CPU in float32, each image's from its own generator: the same on every device, in every precision."""
    height, width = (side // pipe.vae_scale_factor for side in request.control.shape[-2:])
    shape = (1, pipe.unet.config.in_channels, height, width)
    return torch.cat([torch.randn(shape, generator=generator) for generator in request.generators])


def _takes_generator(scheduler: Any) -> bool:
    return "generator" in inspect.signature(scheduler.step).parameters
