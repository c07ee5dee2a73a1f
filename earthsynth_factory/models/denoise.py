"""From noise to pixels: the denoising loop, which runs guidance and control only as long as they act.

It computes what diffusers' own pipeline computes. That one runs the ControlNet in every step, also where its residuals count
nothing, and guidance as one pass of the double batch; here each network sees one fixed shape whether guided or not, so that
it is compiled once, and what is switched off is not run.

Shapes: B images; latents (B, C, h, w); words (B, T, D); control images (B, 3, H, W) in [0, 1], one batch for each ControlNet.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor

from earthsynth_factory.geometry.windows import Window
from earthsynth_factory.models.card import Scheduler
from earthsynth_factory.models.prompt_words import Words

FEW_STEPS = 8
"""A schedule of fewer steps has too few noise levels to begin at: a finer one is taken that has the level asked for."""

FINEST = 64
"""Steps of the finest schedule that is looked at."""

DECODED_PIXELS = 8 * 512**2
"""Most pixels that are decoded at once: an autoencoder's widest layers need a hundred times their memory."""


@dataclass(frozen=True, slots=True)
class Control:
    """How a ControlNet acts. scale: its strength. end: share of the steps after which it is left out."""

    scale: float = 1.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the denoising runs. guidance 1 or less turns classifier-free guidance off (half the work).

    controls: one for each ControlNet. guidance_end: share of the steps after which guidance is left out.
    """

    steps: int
    guidance: float
    scheduler: Scheduler
    controls: tuple[Control, ...] = (Control(),)
    guidance_end: float = 1.0

    @property
    def guided(self) -> bool:
        """Whether there are steps with classifier-free guidance."""
        return self.guidance > 1 and self.guidance_end > 0


@dataclass(frozen=True, eq=False, slots=True)
class DenoiseRequest:
    """What a batch is made from. unguided: words of the negative prompts, None if `Sampling.guided` is False.

    controls: the control images of each ControlNet. start: what to begin at; None for noise alone.
    windows: of the latents, all of one size, in which the networks see them; none: as a whole.
    """

    words: Words
    unguided: Words | None
    controls: Sequence[Tensor]
    generators: Sequence[torch.Generator]
    start: Start | None = None
    windows: Sequence[Window] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """Pictures that are to be changed rather than made. latents: theirs, (B, C, h, w), scaled. noise: of the same shape.

    strength: the noise level they are brought to, as a share of the way to noise alone, in (0, 1]. With many steps that is
    the share of them that is run, as in diffusers.
    """

    latents: Tensor
    noise: Tensor
    strength: float


def denoise(
    pipe: Any, sampling: Sampling, request: DenoiseRequest, on_step: Callable[[int, int], None] = lambda *_: None
) -> Tensor:
    """Latents (B, C, h, w) float32. pipe: a diffusers pipeline with ControlNets; its scheduler is used up and set anew.

    on_step: called with the steps done and those there are, before the first and after each; in windows, a step of each
    counts as one.
    """
    dtype, scheduler = pipe.unet.dtype, pipe.scheduler
    times, latents = _begin(pipe, sampling, request)
    extra = {"generator": list(request.generators)} if _takes_generator(scheduler) else {}
    drawn = _Denoiser(pipe, sampling, request)
    count, parts = len(times), len(drawn.windows)
    for place, time in enumerate(times):
        drawn.acting = tuple((place + 1) / count <= control.end for control in sampling.controls)
        seen = scheduler.scale_model_input(latents, time).to(dtype).contiguous(memory_format=torch.channels_last)
        drawn.on_window = partial(_count, on_step, place * parts, count * parts)
        predicted = drawn(seen, time, request.words)
        if not drawn.guidance_is_input and request.unguided is not None and place / count < sampling.guidance_end:
            drawn.on_window = _nobody  # the pass without guidance is of the same step
            base = drawn(seen, time, request.unguided)
            predicted = base + sampling.guidance * (predicted - base)
        latents = scheduler.step(predicted, time, latents, **extra, return_dict=False)[0]
    on_step(count * parts, count * parts)
    return latents


def _count(on_step: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_step(before + done, total)


def _nobody(_: int) -> None:
    """Nobody is told."""


def controlnets(pipe: Any) -> list[Any]:
    """The ControlNets of a pipeline, of which diffusers keeps several as one."""
    return list(getattr(pipe.controlnet, "nets", [pipe.controlnet]))


def decode_latents(vae: Any, latents: Tensor, windows: Sequence[Window] = ()) -> Tensor:
    """Pixels (B, 3, H, W) in [0, 1] of latents, a few images at once; all by one shape, so that their place says nothing.

    windows: of the latents, to be decoded one by one if an image is too large for one go.
    """
    factor = _factor(vae)
    if windows and latents.shape[-2] * latents.shape[-1] * factor**2 > DECODED_PIXELS:
        height, width = (side * factor for side in latents.shape[-2:])
        whole = torch.zeros(len(latents), 3, height, width, device=latents.device)
        views = ((window.times(factor), decode_latents(vae, latents[(..., *window.place)])) for window in windows)
        return _blended(whole, views)
    latents = (latents / vae.config.scaling_factor).to(vae.dtype)
    pixels = latents.shape[-2] * latents.shape[-1] * factor**2
    most = max(1, DECODED_PIXELS // pixels)
    at_once = max(n for n in range(1, len(latents) + 1) if len(latents) % n == 0 and n <= most)
    parts = [vae.decode(part, return_dict=False)[0] for part in torch.split(latents, at_once)]
    return (torch.cat(parts).float() / 2 + 0.5).clamp(0, 1)


def _factor(vae: Any) -> int:
    """Pixels to a side of a latent cell."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def _blended(total: Tensor, parts: Iterable[tuple[Window, Tensor]]) -> Tensor:
    """The parts in their windows of `total` (B, C, h, w), which is zero; where they overlap, one fades into the other."""
    weight = total.new_zeros(total.shape[-2:])
    for window, part in parts:
        share = torch.from_numpy(window.share).to(total)
        total[(..., *window.place)] += share * part
        weight[window.place] += share
    return total / weight


def encode_pixels(vae: Any, pixels: Tensor) -> Tensor:
    """Latents (B, C, h, w) float32, scaled, of pixels (B, 3, H, W) in [0, 1]; the mode of the encoder's distribution."""
    seen = (pixels * 2 - 1).to(vae.device, vae.dtype).contiguous(memory_format=torch.channels_last)
    latents: Tensor = vae.encode(seen).latent_dist.mode().float() * vae.config.scaling_factor
    return latents


def _begin(pipe: Any, sampling: Sampling, request: DenoiseRequest) -> tuple[Tensor, Tensor]:
    """The times still to go, and the latents at the first of them. Pictures enter as far along as `strength` says."""
    scheduler, start, device = pipe.scheduler, request.start, request.words.tokens.device
    if start is None:
        scheduler.set_timesteps(sampling.steps, device=device)
        return scheduler.timesteps, _noise(pipe, request).to(device) * scheduler.init_noise_sigma
    run = max(1, round(sampling.steps * start.strength))
    schedule = _schedule(scheduler, sampling.steps, run, start.strength)
    scheduler.set_timesteps(schedule, device=device)
    first = (schedule - run) * scheduler.order
    times = scheduler.timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    latents = start.latents.to(device)
    return times, scheduler.add_noise(latents, start.noise.to(latents), times[:1].repeat(len(latents)))


def _schedule(scheduler: Any, steps: int, run: int, strength: float) -> int:
    """Steps of the schedule whose last `run` begin at the noise level; the model's own if that has levels enough."""
    if steps >= FEW_STEPS:
        return steps

    def distance(count: int) -> float:
        scheduler.set_timesteps(count)
        level = float(scheduler.timesteps[(count - run) * scheduler.order])
        return abs(level / float(scheduler.config.num_train_timesteps) - strength)

    return min(range(run, FINEST + 1), key=distance)


class _Denoiser:
    """UNet and ControlNets as one function. acting: which of the ControlNets still act. on_window: told the number of each
    window before it is looked at.

    Large latents are seen in windows, and what is predicted in them is blended in every step, so that all draw one picture
    (MultiDiffusion, arXiv 2302.08113; the fading weights are ours): memory is that of one window. What ControlNets that no
    longer act would add is zeros of the same shapes, made once: the UNet sees one shape all the way.
    """

    def __init__(self, pipe: Any, sampling: Sampling, request: DenoiseRequest) -> None:
        self._unet, self._controls = pipe.unet, controlnets(pipe)
        self._images, self._scales = request.controls, [control.scale for control in sampling.controls]
        self._factor = pipe.vae_scale_factor
        height, width = (side // self._factor for side in request.controls[0].shape[-2:])
        self.windows = request.windows or (Window(0, 0, height, width),)
        self._guidance = _strength_input(pipe, sampling, request)
        self._sizes = _sizes(pipe, request, self.windows[0].times(self._factor))
        self._zeros: dict[str, Any] | None = None
        self.acting: tuple[bool, ...] = (True,) * len(self._controls)
        self.on_window: Callable[[int], None] = _nobody

    @property
    def guidance_is_input(self) -> bool:
        """Whether the UNet takes the guidance as an input."""
        return self._guidance is not None

    def __call__(self, seen: Tensor, time: Tensor, words: Words) -> Tensor:
        parts = self._predicted(seen, time, words)
        if len(self.windows) == 1:
            return next(parts)[1]
        return _blended(torch.zeros_like(seen, dtype=torch.float32), parts)

    def _predicted(self, seen: Tensor, time: Tensor, words: Words) -> Iterator[tuple[Window, Tensor]]:
        for number, window in enumerate(self.windows):
            self.on_window(number)
            view = seen[(..., *window.place)].contiguous(memory_format=torch.channels_last)
            images = [image[(..., *window.times(self._factor).place)] for image in self._images]
            yield window, self._predict(view, time, words, images)

    def _predict(self, seen: Tensor, time: Tensor, words: Words, images: Sequence[Tensor]) -> Tensor:
        more = {} if words.pooled is None else {"text_embeds": words.pooled, "time_ids": self._sizes}
        added = self._residuals(seen, time, words, images, {"added_cond_kwargs": more} if more else {})
        style = {} if words.style is None else {"image_embeds": [words.style]}
        inputs = {"timestep_cond": self._guidance, "added_cond_kwargs": {**more, **style} or None, **added}
        predicted: Tensor = self._unet(seen, time, words.tokens, **inputs, return_dict=False)[0]
        return predicted.float()

    def _residuals(
        self, seen: Tensor, time: Tensor, words: Words, images: Sequence[Tensor], given: dict[str, Any]
    ) -> dict[str, Any]:
        if not any(self.acting) and self._zeros is not None:
            return self._zeros
        parts = [
            control(seen, time, words.tokens, image, conditioning_scale=scale, **given, return_dict=False)
            for control, image, scale, acts in zip(self._controls, images, self._scales, self.acting, strict=True)
            if acts or not any(self.acting)
        ]
        down = [reduce(torch.add, one) for one in zip(*(part[0] for part in parts), strict=True)]
        middle = reduce(torch.add, [part[1] for part in parts])
        if any(self.acting):
            return _as_arguments(down, middle)
        self._zeros = _as_arguments([torch.zeros_like(one) for one in down], torch.zeros_like(middle))
        return self._zeros


def _as_arguments(down: Sequence[Tensor], middle: Tensor) -> dict[str, Any]:
    return {"down_block_additional_residuals": tuple(down), "mid_block_additional_residual": middle}


def _sizes(pipe: Any, request: DenoiseRequest, window: Window) -> Tensor | None:
    """(B, 6) for Stable Diffusion XL: the window's size in pixels, no crop, its size again, as diffusers says by default."""
    if request.words.pooled is None:
        return None
    height, width = window.height, window.width
    sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=pipe.unet.dtype)
    return sizes.repeat(len(request.words.tokens), 1).to(request.words.tokens.device)


def _strength_input(pipe: Any, sampling: Sampling, request: DenoiseRequest) -> Tensor | None:
    """The guidance as an input, for distilled UNets that have learnt it; None for others."""
    width = pipe.unet.config.time_cond_proj_dim
    if width is None:
        return None
    guidance = torch.full((len(request.words.tokens),), sampling.guidance - 1)
    embedding: Tensor = pipe.get_guidance_scale_embedding(guidance, embedding_dim=width)
    return embedding.to(request.words.tokens.device, pipe.unet.dtype)


def _noise(pipe: Any, request: DenoiseRequest) -> Tensor:
    """Drawn on the CPU in float32, each image's from its own generator: the same on every device, in every precision."""
    height, width = (side // pipe.vae_scale_factor for side in request.controls[0].shape[-2:])
    shape = (1, pipe.unet.config.in_channels, height, width)
    return torch.cat([torch.randn(shape, generator=generator) for generator in request.generators])


def _takes_generator(scheduler: Any) -> bool:
    return "generator" in inspect.signature(scheduler.step).parameters
