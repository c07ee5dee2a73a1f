"""The model that is built upon: its parts on the CPU in float32, its scheduler's settings, its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from earthsynth_factory.errors import InputError, ModelError, first_line
from earthsynth_factory.models.card import ModelCard, read_card
from earthsynth_factory.models.controlnet_pipeline import be_quiet
from earthsynth_factory.models.registry import EARTHSYNTH, EARTHSYNTH_CARD, base_of, controlnet_of
from earthsynth_factory.training.controlnet.spec import HubControlNet, ModelSpec

CONTROL_SHARE = 0.3
"""Share of an opened ControlNet's features that reaches the UNet at the start of training."""

UNKNOWN: dict[str, Any] = {"categories": None, "training_data": ()}
"""What is not known of a base without a card."""

_SAFE: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}


@dataclass(frozen=True)
class Base:
    """A Stable Diffusion pipeline in parts, and the ControlNet it begins with."""

    folder: Path
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
    """Loads (safetensors only) or makes what the recipe names. Raises ModelError, InputError where the size does not fit."""
    be_quiet()
    folder = base_of(spec.base, recipe_folder, spec.base_revision)
    try:
        vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", **_SAFE).float()
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", **_SAFE).float()
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        unet = load_unet(folder)
        scheduler = diffusers.DDPMScheduler.load_config(folder, subfolder="scheduler", local_files_only=True)
        scheduler = sampled_by_unipc(scheduler)
    except Exception as error:  # diffusers raises many kinds for a damaged folder; all mean the same to the user
        raise ModelError(f"{folder}: not loadable as a Stable Diffusion pipeline: {first_line(error)}") from error
    torch.manual_seed(seed)
    if spec.train == "scratch":
        unet = UNet2DConditionModel.from_config(unet.config)
    control, own_card = _control(spec, unet, recipe_folder)
    card = own_card or read_card(folder) or EARTHSYNTH_CARD.model_copy(update=UNKNOWN)
    base = Base(folder, vae, text, tokenizer, unet, control, scheduler, card)
    _check_size(base, size)
    return base


def load_unet(folder: Path) -> Any:
    """The UNet of a base's folder on the CPU, in float32."""
    return UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **_SAFE).float()


def sampled_by_unipc(scheduler: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of a flow-matching scheduler as UniPC's, which Stable Diffusion's pipelines can run; others as they are."""
    if not str(scheduler.get("_class_name")).startswith("FlowMatch"):
        return scheduler
    return {
        "_class_name": "UniPCMultistepScheduler",
        "num_train_timesteps": scheduler.get("num_train_timesteps", 1000),
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        "flow_shift": scheduler.get("shift", 1.0),
    }


def _control(spec: ModelSpec, unet: Any, recipe_folder: Path) -> tuple[Any, ModelCard | None]:
    """The ControlNet to begin with, and its card where it has one."""
    if spec.controlnet == "new":
        widths = _stem_widths(unet)
        control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
        return (opened(control) if spec.train == "scratch" else control), None
    folder, card = _start(spec.controlnet, recipe_folder)
    try:
        return ControlNetModel.from_pretrained(folder, **_SAFE).float(), card or read_card(folder)
    except Exception as error:
        raise ModelError(f"{folder}: not loadable as a ControlNet: {first_line(error)}") from error


def _start(name: str | HubControlNet, recipe_folder: Path) -> tuple[Path, ModelCard | None]:
    if name == "earthsynth":
        return controlnet_of(EARTHSYNTH.controlnet, recipe_folder, "main", EARTHSYNTH.subfolder), EARTHSYNTH_CARD
    if name == "embedded":
        folder = base_of("embedded", recipe_folder)
        return folder / "controlnet", read_card(folder)
    if isinstance(name, HubControlNet):
        return controlnet_of(name.name, recipe_folder, name.revision, name.subfolder), None
    return controlnet_of(name, recipe_folder), None


def _stem_widths(unet: Any) -> tuple[int, ...]:
    """The control image's way down to the latent: the original ControlNet's for a UNet of its width, else in proportion."""
    first = unet.config.block_out_channels[0]
    return (16, 32, 96, 256) if first >= 256 else tuple(max(4, first // part) for part in (8, 4, 2, 1))


@torch.no_grad()
def opened(control: Any) -> Any:
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
