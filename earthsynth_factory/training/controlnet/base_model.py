"""The model that is built upon: its parts on the CPU in float32, its scheduler's settings, its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextModel

from earthsynth_factory.errors import InputError, ModelError
from earthsynth_factory.models.card import ModelCard, read_card
from earthsynth_factory.models.inspection import Assembly, BaseModel
from earthsynth_factory.models.loading import load_network, load_tokenizers
from earthsynth_factory.models.part import Part
from earthsynth_factory.models.registry import (
    EARTHSYNTH,
    base_at,
    base_of,
    card_folder,
    controlnet_at,
    controlnet_card,
    controlnet_of,
    unknown_card,
)
from earthsynth_factory.models.schedulers import sampled_by_unipc
from earthsynth_factory.training.controlnet.spec import HubControlNet, ModelSpec

CONTROL_SHARE = 0.3
"""Share of an opened ControlNet's features that reaches the UNet at the start of training."""


@dataclass(frozen=True)
class Base:
    """A Stable Diffusion pipeline in parts, and the ControlNet it begins with."""

    files: BaseModel
    vae: Any
    text: Any
    tokenizer: Any
    unet: Any
    control: Any
    scheduler: Mapping[str, Any]
    card: ModelCard

    @property
    def shrink(self) -> int:
        """Pixels along a latent cell's side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def make_scheduler(self) -> Any:
        """The scheduler as it was saved."""
        return getattr(diffusers, self.scheduler["_class_name"]).from_config(self.scheduler)


def load_base(spec: ModelSpec, size: int, recipe_folder: Path, seed: int) -> Base:
    """Loads (safetensors only) or makes what the recipe names. Raises ModelError, InputError if the size does not fit."""
    found = base_at(base_of(spec.base, recipe_folder, spec.base_revision))
    if found.second:
        raise ModelError(
            f"{found.place}: a Stable Diffusion XL; ControlNets are trained here on 1.x and 2.x; choose such a base"
        )
    start, own_card = _start(spec.controlnet, recipe_folder)
    if start is not None:
        Assembly(found, (start,)).checked()
    vae, text = load_network(found.vae, AutoencoderKL).float(), load_network(found.text, CLIPTextModel).float()
    unet = load_unet(found)
    scheduler = sampled_by_unipc(found.scheduler)
    torch.manual_seed(seed)
    if spec.train == "scratch":
        unet = UNet2DConditionModel.from_config(unet.config)
    control = _fresh(spec, unet) if start is None else load_network(start, ControlNetModel).float()
    card = own_card or read_card(card_folder(found.place)) or unknown_card(spec.base)
    base = Base(found, vae, text, load_tokenizers(found)[0], unet, control, scheduler, card)
    _check_size(base, size)
    return base


def load_unet(files: BaseModel) -> Any:
    """The UNet of a base on the CPU, in float32."""
    return load_network(files.unet, UNet2DConditionModel).float()


def _fresh(spec: ModelSpec, unet: Any) -> Any:
    """A ControlNet that begins as the UNet's encoder."""
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=_stem_widths(unet))
    return scaled_residuals(control) if spec.train == "scratch" else control


def _start(name: str | HubControlNet, recipe_folder: Path) -> tuple[Part | None, ModelCard | None]:
    """The ControlNet to begin with, and its card; nothing for a new one."""
    if name == "new":
        return None, None
    if name == "earthsynth":
        name = HubControlNet(name=EARTHSYNTH.controlnet, subfolder=EARTHSYNTH.subfolder)
    if name == "embedded":
        folder = base_of("embedded", recipe_folder)
        return controlnet_at(folder / "controlnet"), read_card(folder)
    given = name if isinstance(name, HubControlNet) else HubControlNet(name=name)
    place = controlnet_of(given.name, recipe_folder, given.revision, given.subfolder)
    return controlnet_at(place), controlnet_card(given.name, place, given.subfolder)


def _stem_widths(unet: Any) -> tuple[int, ...]:
    """The control image's way down to the latent: the original ControlNet's for a UNet of its width, else in proportion."""
    first = unet.config.block_out_channels[0]
    return (16, 32, 96, 256) if first >= 256 else tuple(max(4, first // part) for part in (8, 4, 2, 1))


@torch.no_grad()
def scaled_residuals(control: Any) -> Any:
    """The same ControlNet, its residuals at `CONTROL_SHARE` of its own features.

    The usual zero convolutions protect a trained UNet. If there is none, two of them in a row only keep the mask's
    gradient near zero for hundreds of steps.
    """
    control.controlnet_cond_embedding.conv_out.reset_parameters()
    for convolution in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        torch.nn.init.eye_(convolution.weight[:, :, 0, 0]).mul_(CONTROL_SHARE)
    return control


def _check_size(base: Base, size: int) -> None:
    step = base.shrink
    if size % step:
        raise InputError(
            f"size {size}: this base needs a multiple of {step}; set size: {max(step, size // step * step)}"
        )
    stem = 2 ** (len(base.control.config.conditioning_embedding_out_channels) - 1)
    if stem != base.shrink:
        raise ModelError(
            f"the ControlNet shrinks its control image {stem}×, the base's latents {base.shrink}×; they differ"
        )
