"""Networks from inspected folders: safetensors only, every weight accounted for, none of them NaN."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.models.inspection import BaseModel
from earthsynth_factory.models.part import Part, refuse_unmatched
from earthsynth_factory.models.schedulers import saved_scheduler


def load_network(part: Part, kind: Any) -> Any:
    """The network on the CPU, in the precision it was saved in. kind: a class of diffusers or transformers.

    Raises ModelError where weights are missing, left over, of another shape, not loadable or no numbers.
    """
    be_quiet()
    if part.original:
        from earthsynth_factory.models.single_file import load_original

        network = load_original(part, kind)
    else:
        network = _from_folder(part, kind)
    _refuse_nan(part, network)
    return network.eval()


def load_tokenizer(base: BaseModel) -> Any:
    """The tokenizer; it cuts at what the text encoder has places for. Raises ModelError."""
    from transformers import CLIPTokenizer

    if base.tokenizer is None:
        from earthsynth_factory.models.single_file import clip_tokenizer

        return clip_tokenizer(base.text)
    try:
        tokenizer = CLIPTokenizer.from_pretrained(base.tokenizer, local_files_only=True)
    except Exception as error:
        raise ModelError(f"{base.tokenizer}: not loadable as a CLIPTokenizer: {first_line(error)}") from error
    room = int(base.text.get("max_position_embeddings", 77))
    tokenizer.model_max_length = min(tokenizer.model_max_length, room)
    return tokenizer


def load_parts(base: BaseModel, control: Part) -> Any:
    """diffusers' StableDiffusionControlNetPipeline, on the CPU. Raises ModelError naming the part that is damaged."""
    from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionControlNetPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    pipe = StableDiffusionControlNetPipeline(
        vae=load_network(base.vae, AutoencoderKL),
        text_encoder=load_network(base.text, CLIPTextModel),
        tokenizer=load_tokenizer(base),
        unet=load_network(base.unet, UNet2DConditionModel),
        controlnet=load_network(control, ControlNetModel),
        scheduler=saved_scheduler(base.scheduler, base.place),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def be_quiet() -> None:
    """No bars and remarks of the libraries between our own lines; what matters is raised by `load_network`."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def _from_folder(part: Part, kind: Any) -> Any:
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True, "variant": part.variant}
    try:
        network, report = kind.from_pretrained(part.folder, **options)
    except Exception as error:  # the libraries raise many kinds for a damaged folder; all mean the same to the user
        raise ModelError(f"{part.folder}: not loadable as a {kind.__name__}: {first_line(error)}") from error
    refuse_unmatched(part.folder, report)
    return network


@torch.no_grad()
def _refuse_nan(part: Part, network: nn.Module) -> None:
    for name, weight in network.named_parameters():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            what = "NaN" if bool(weight.isnan().any()) else "infinite numbers"
            raise ModelError(f"{part.folder}: {name} holds {what}; fetch the model again, or mend its training")
