"""A ControlNet pipeline on one device: loads it, and makes batches of images from control images, prompts and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from earthsynth_factory.domain.sample import Image
from earthsynth_factory.errors import ModelError
from earthsynth_factory.geometry.windows import Window, windows_of
from earthsynth_factory.io.log import LOGGER
from earthsynth_factory.models.denoise import (
    DenoiseRequest,
    Sampling,
    Start,
    controlnets,
    decode_latents,
    denoise,
    encode_pixels,
)
from earthsynth_factory.models.device import out_of_memory
from earthsynth_factory.models.loading import load_pipe
from earthsynth_factory.models.low_memory import Turn, Turns, check_offload, slice_attention
from earthsynth_factory.models.prompt_words import PromptWords, Words
from earthsynth_factory.models.registry import ModelFiles
from earthsynth_factory.models.schedulers import check_steps, make_scheduler
from earthsynth_factory.models.style import Style
from earthsynth_factory.models.style_images import StyleImages


@dataclass(frozen=True, eq=False, slots=True)
class Pictures:
    """What to change, for a batch. pixels: (B, 3, H, W) in [0, 1]. noise: (B, C, h, w) in the size of the latents.

    strength: see `Start`. residual: give back what the autoencoder loses of each picture, `x − D(E(x))`.
    """

    pixels: torch.Tensor
    noise: torch.Tensor
    strength: float
    residual: bool

    def part(self, place: slice) -> Pictures:
        """Those of a batch."""
        return Pictures(self.pixels[place], self.noise[place], self.strength, self.residual)

    def filled(self, count: int) -> Pictures:
        """The last one repeated until there are `count`."""
        return Pictures(_filled(self.pixels, count), _filled(self.noise, count), self.strength, self.residual)


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Images asked for. controls: for each ControlNet the images (B, 3, H, W) in [0, 1]. negatives: what guidance leads
    away from, one for each prompt. pictures: what to start from; None for noise alone.
    """

    controls: Sequence[torch.Tensor]
    prompts: Sequence[str]
    negatives: Sequence[str]
    seeds: Sequence[int]
    pictures: Pictures | None = None

    def part(self, place: slice) -> Asked:
        """Those of a batch."""
        controls = [images[place] for images in self.controls]
        pictures = self.pictures and self.pictures.part(place)
        return Asked(controls, self.prompts[place], self.negatives[place], self.seeds[place], pictures)

    def filled(self, count: int) -> Asked:
        """The last one repeated until there are `count`."""
        missing = count - len(self.prompts)
        prompts = [*self.prompts, *[self.prompts[-1]] * missing]
        negatives = [*self.negatives, *[self.negatives[-1]] * missing]
        seeds = [*self.seeds, *[self.seeds[-1]] * missing]
        controls = [_filled(images, count) for images in self.controls]
        pictures = self.pictures and self.pictures.filled(count)
        return Asked(controls, prompts, negatives, seeds, pictures)


@dataclass
class ControlNetPipeline:
    """A diffusers pipeline with ControlNets, with prompt embeddings cached and batches of a fixed shape."""

    pipe: Any
    device: torch.device
    sampling: Sampling
    batch: int
    style: Style | None = None
    reductions: list[str] = field(default_factory=list)
    """What was given up to save memory, in words, for the run record."""
    on_step: Callable[[int, int], None] = lambda *_: None
    """See `denoise`."""
    window: int | None = None
    """Pixels to a side of the windows in which large images are made; None: all as a whole."""
    whole: int = 0
    """Pixels to a side up to which an image is no large one."""
    turns: Turns | None = None
    """For networks that are on the device by turns; None: all are there."""

    def __post_init__(self) -> None:
        self._words = PromptWords(self.pipe, self.device)
        self._styles = StyleImages(self.pipe, self.style, self.device) if self.style else None

    def notes(self) -> list[str]:
        """What was given up, and what of the prompts was lost, in words, for the run record."""
        return [*self.reductions, *self._words.notes()]

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of an image."""
        factor = self.factor
        return int(self.pipe.unet.config.in_channels), height // factor, width // factor

    @property
    def factor(self) -> int:
        """Pixels to a side of a latent cell."""
        return int(self.pipe.vae_scale_factor)

    def generate(self, asked: Asked) -> list[Image]:
        """An image (H, W, 3) uint8 for each request.

        Short batches are filled up by repeating the last request: with the shape fixed, the kernels are the same, so
        an image does not depend on its batch-mates.
        """
        images: list[Image] = []
        while len(images) < len(asked.prompts):
            place = slice(len(images), len(images) + self._at_once(asked))
            try:
                images += self._one_batch(asked.part(place))
            except RuntimeError as error:  # torch has no class of its own for what a CPU lacks
                if not out_of_memory(error):
                    raise
                self._halve_batch()
        return images

    def _at_once(self, asked: Asked) -> int:
        """Images to a batch: of those that are made in windows one, since memory is what windows are for."""
        return 1 if self._windows(asked) else self.batch

    def _windows(self, asked: Asked) -> list[Window]:
        """Of the latents; none if the images are no larger than a window, or are made as a whole."""
        cells = [side // self.factor for side in asked.controls[0].shape[-2:]]
        if self.window is None or max(cells) * self.factor <= max(self.window, self.whole):
            return []
        return windows_of((cells[0], cells[1]), self.window // self.factor, 1)

    def _halve_batch(self) -> None:
        if self.batch == 1:
            raise ModelError(
                f"{self.device}: out of memory for a single image; lower `image.size` or set `precision: float16`"
            )
        self.batch //= 2
        self.reductions.append(f"out of memory on {self.device}: batch reduced to {self.batch}")
        LOGGER.warning("%s", self.reductions[-1])
        torch.cuda.empty_cache()

    @torch.inference_mode()
    def _one_batch(self, asked: Asked) -> list[Image]:
        count, full, windows = len(asked.prompts), asked.filled(self._at_once(asked)), self._windows(asked)
        pictures = full.pictures
        latents = None if pictures is None else self._encoded(pictures)
        words, unguided = self._read(full)
        request = DenoiseRequest(
            words=words,
            unguided=unguided,
            controls=[image.to(self.device, self.pipe.unet.dtype) for image in full.controls],
            generators=[torch.Generator("cpu").manual_seed(seed) for seed in full.seeds],
            start=None if pictures is None or latents is None else Start(latents, pictures.noise, pictures.strength),
            windows=windows,
        )
        self._begin("denoising")
        made = denoise(self.pipe, self.sampling, request, self.on_step)
        self._begin("pixels")
        out = decode_latents(self.pipe.vae, made, windows)
        self._refuse_no_numbers(full.seeds, made, out)
        if pictures is not None and latents is not None and pictures.residual:
            out = (out + pictures.pixels.to(out) - decode_latents(self.pipe.vae, latents)).clamp(0, 1)
        pixels = out[:count].mul(255).round().to(torch.uint8)
        return list(np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy()))

    def _begin(self, turn: Turn) -> None:
        if self.turns is not None:
            self.turns.begin(turn)

    def _encoded(self, pictures: Pictures) -> torch.Tensor:
        self._begin("pixels")
        return encode_pixels(self.pipe.vae, pictures.pixels)

    def _read(self, asked: Asked) -> tuple[Words, Words | None]:
        """The prompts and what is led away from, pictures of a style beside them."""
        self._begin("words")
        words = self._words(asked.prompts)
        unguided = self._words.against(asked.negatives) if self.sampling.guided else None
        if self._styles is None:
            return words, unguided
        shown, nothing = self._styles(asked.seeds)
        return replace(words, style=shown), unguided and replace(unguided, style=nothing)

    def _refuse_no_numbers(self, seeds: Sequence[int], latents: torch.Tensor, pixels: torch.Tensor) -> None:
        """Raises ModelError if an image is NaN or one flat colour: a dataset of such must not come to its end."""
        bad = ~(latents.isfinite().flatten(1).all(1) & pixels.isfinite().flatten(1).all(1))
        if bool(bad.any()):
            dtype = str(self.pipe.unet.dtype).removeprefix("torch.")
            mended = "set `precision: float32`, or mend the weights" if dtype != "float32" else "mend the weights"
            raise ModelError(
                f"the model gives no numbers (NaN) in {dtype}, with image seed {seeds[int(bad.int().argmax())]}; {mended}"
            )
        flat = (pixels.flatten(2).amax(2) - pixels.flatten(2).amin(2)).amax(1) == 0
        if bool(flat.any()):
            seed = seeds[int(flat.int().argmax())]
            raise ModelError(
                f"the model draws one flat colour, with image seed {seed}; its weights, scheduler or steps are not right"
            )


def _filled(tensor: torch.Tensor, count: int) -> torch.Tensor:
    """(B, …) as (count, …), the last entry repeated."""
    return torch.cat([tensor, tensor[-1:].expand(count - len(tensor), *tensor.shape[1:])])


@dataclass(frozen=True, slots=True)
class Layout:
    """How networks are laid out on a device.

    compiled: for fixed shapes. sliced: see `slice_attention`. offload: see `Turns`.
    """

    device: torch.device
    dtype: torch.dtype
    compiled: bool = False
    sliced: bool = False
    offload: bool = False


def load_pipeline(files: ModelFiles, layout: Layout, sampling: Sampling, batch: int) -> ControlNetPipeline:
    """Load weights (safetensors only) onto a device. Raises ModelError if they are damaged or do not belong together."""
    device, dtype = layout.device, layout.dtype
    if layout.offload:
        check_offload(device)
    model = files.inspect()
    pipe = load_pipe(model)
    pipe.scheduler = make_scheduler(pipe.scheduler, sampling.scheduler)
    check_steps(pipe.scheduler, sampling.steps, model.base.place)
    pipe.to(torch.device("cpu") if layout.offload else device, dtype)
    if pipe.unet.config.addition_embed_type and dtype == torch.float16 and pipe.vae.config.force_upcast:
        pipe.vae.to(torch.float32)  # the autoencoder of Stable Diffusion XL overflows in half precision
    for network in (pipe.unet, *controlnets(pipe), pipe.vae):
        network.to(memory_format=torch.channels_last)
    if layout.sliced:
        slice_attention(pipe)
    if layout.compiled:
        compile_networks(pipe)
    turns = Turns(pipe, device) if layout.offload else None
    return ControlNetPipeline(pipe, device, sampling, batch, model.style, turns=turns)


def compile_networks(pipe: Any) -> None:
    """Compile in place, whole: compiling the repeated blocks alone leaves out the convolutions, half of the work."""
    for network in (pipe.unet, *controlnets(pipe), pipe.vae.decoder):
        network.compile(fullgraph=True, dynamic=False)
