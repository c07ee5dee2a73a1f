"""A ControlNet pipeline on one device: loads it, and makes a batch of images from control images, prompts and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from earthsynth_factory.domain.sample import Image
from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.log import LOGGER
from earthsynth_factory.models.denoise import Request, Sampling, Start, decode, denoise, encode
from earthsynth_factory.models.device import out_of_memory
from earthsynth_factory.models.loading import load_parts
from earthsynth_factory.models.prompt_words import PromptWords
from earthsynth_factory.models.registry import ModelFiles
from earthsynth_factory.models.schedulers import make_scheduler


@dataclass(frozen=True, eq=False, slots=True)
class Pictures:
    """What to change, for a batch. pixels: (B, 3, H, W) in [0, 1]. noise: (B, C, h, w) in the size of the latents.

    strength: see `Start`. residual: give back what the autoencoder loses of each picture, `x − D(E(x))`.
    """

    pixels: torch.Tensor
    noise: torch.Tensor
    strength: float
    residual: bool

    def part(self, place: slice, filled: int) -> Pictures:
        """Those of a batch, the last one repeated until there are `filled`."""
        pixels, noise = (_filled(one[place], filled) for one in (self.pixels, self.noise))
        return Pictures(pixels, noise, self.strength, self.residual)


@dataclass
class ControlNetPipeline:
    """diffusers' StableDiffusionControlNetPipeline with prompt embeddings cached and batches of a fixed shape."""

    pipe: Any
    device: torch.device
    sampling: Sampling
    batch: int
    reductions: list[str] = field(default_factory=list)
    """What was given up for want of memory, in words, for the run record."""
    on_step: Callable[[int, int], None] = lambda *_: None
    """See `denoise`."""

    def __post_init__(self) -> None:
        self._words = PromptWords(self.pipe, self.device)

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

    def generate(
        self, control: torch.Tensor, prompts: Sequence[str], seeds: Sequence[int], pictures: Pictures | None = None
    ) -> list[Image]:
        """An image (H, W, 3) uint8 for each of the control images (B, 3, H, W) in [0, 1]; of `pictures`, if given.

        Short batches are filled up by repeating the last request: with the shape fixed, the kernels are the same, so
        an image does not depend on its batch-mates.
        """
        images: list[Image] = []
        while len(images) < len(prompts):
            done = slice(len(images), len(images) + self.batch)
            try:
                begun = pictures and pictures.part(done, self.batch)
                images += self._one_batch(control[done], prompts[done], seeds[done], begun)
            except RuntimeError as error:  # torch has no class of its own for what a CPU lacks
                if not out_of_memory(error):
                    raise
                self._halve_batch()
        return images

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
    def _one_batch(
        self, control: torch.Tensor, prompts: Sequence[str], seeds: Sequence[int], pictures: Pictures | None
    ) -> list[Image]:
        missing = self.batch - len(prompts)
        prompts = [*prompts, *[prompts[-1]] * missing]
        seeds = [*seeds, *[seeds[-1]] * missing]
        control = _filled(control, self.batch)
        latents = None if pictures is None else encode(self.pipe.vae, pictures.pixels)
        request = Request(
            words=torch.cat([self._words(prompt) for prompt in prompts]),
            unguided=self._words(self.sampling.negative_prompt).repeat(self.batch, 1, 1)
            if self.sampling.guided
            else None,
            control=control.to(self.device, self.pipe.unet.dtype),
            generators=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            start=None if pictures is None or latents is None else Start(latents, pictures.noise, pictures.strength),
        )
        made = denoise(self.pipe, self.sampling, request, self.on_step)
        out = decode(self.pipe.vae, made)
        self._refuse_no_numbers(seeds, made, out)
        if pictures is not None and latents is not None and pictures.residual:
            out = (out + pictures.pixels.to(out) - decode(self.pipe.vae, latents)).clamp(0, 1)
        pixels = out[: self.batch - missing].mul(255).round().to(torch.uint8)
        return list(np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy()))

    def _refuse_no_numbers(self, seeds: Sequence[int], latents: torch.Tensor, pixels: torch.Tensor) -> None:
        """Raises ModelError where an image is NaN or one flat colour: a dataset of such must not come to its end."""
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


def load_pipeline(
    files: ModelFiles, device: torch.device, dtype: torch.dtype, sampling: Sampling, batch: int, compiled: bool
) -> ControlNetPipeline:
    """Load weights (safetensors only) onto a device. Raises ModelError where they are damaged or do not belong together."""
    pipe = load_parts(*files.inspect())
    pipe.scheduler = make_scheduler(pipe.scheduler, sampling.scheduler)
    pipe.to(device, dtype)
    for network in (pipe.unet, pipe.controlnet, pipe.vae):
        network.to(memory_format=torch.channels_last)
    if compiled:
        compile_networks(pipe)
    return ControlNetPipeline(pipe, device, sampling, batch)


def compile_networks(pipe: Any) -> None:
    """Compile in place, whole: compiling the repeated blocks alone leaves out the convolutions, half of the work."""
    for network in (pipe.unet, pipe.controlnet, pipe.vae.decoder):
        network.compile(fullgraph=True, dynamic=False)


def be_quiet() -> None:
    """No bars and remarks of the libraries between our own lines: their warnings go where ours are logged."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_warning()
        library.disable_default_handler()
        library.enable_propagation()
