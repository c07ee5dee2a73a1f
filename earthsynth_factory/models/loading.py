"""Networks from inspected folders: safetensors only, every weight accounted for, none of them NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.models.inspection import Assembly, BaseModel
from earthsynth_factory.models.lora import TEXT, TEXT_2, UNET
from earthsynth_factory.models.lora_fusing import fuse
from earthsynth_factory.models.part import Part, refuse_unmatched
from earthsynth_factory.models.safetensors_file import read_header
from earthsynth_factory.models.schedulers import saved_scheduler

SHORTEST = 3
"""Tokens of a prompt of one word: it is begun and ended."""


def load_network(part: Part, kind: Any) -> Any:
    """The network on the CPU, in the precision it was saved in. kind: a class of diffusers or transformers.

    Raises ModelError if weights are missing, left over, of another shape, not loadable or no numbers.
    """
    be_quiet()
    if part.original:
        from earthsynth_factory.models.single_file import load_original

        network = load_original(part, kind)
    else:
        network = _from_folder(part, kind)
    _refuse_nan(part, network)
    return network.eval()


def load_tokenizers(base: BaseModel) -> list[Any]:
    """A tokenizer for each text encoder; it cuts at what that has places for. Raises ModelError."""
    encoders = [(base.tokenizer, base.text), *([(base.second[1], base.second[0])] if base.second else [])]
    return [_tokenizer(folder, text) for folder, text in encoders]


def load_pipe(model: Assembly) -> Any:
    """diffusers' pipeline of the model's family, on the CPU, its LoRAs fused. Raises ModelError naming the damaged part."""
    import diffusers
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    base, tokenizers = model.base, load_tokenizers(model.base)
    networks = {
        UNET: load_network(base.unet, UNet2DConditionModel),
        **{name: load_network(part, kind) for name, part, kind in text_encoders(base)},
    }
    for name, network in networks.items():
        fuse(network, name, model.loras, base.networks()[name].folder)
    controls = [load_network(control, ControlNetModel) for control in model.controls]
    parts = {
        **networks,
        "vae": load_network(base.vae, AutoencoderKL),
        "controlnet": controls if len(controls) > 1 else controls[0],
        "tokenizer": tokenizers[0],
        "scheduler": saved_scheduler(base.scheduler, base.place),
        "feature_extractor": None,
    }
    if base.second:
        pipe = diffusers.StableDiffusionXLControlNetPipeline(
            **parts, tokenizer_2=tokenizers[1], force_zeros_for_empty_prompt=base.zeros, add_watermarker=False
        )
    else:
        pipe = diffusers.StableDiffusionControlNetPipeline(**parts, safety_checker=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    if model.style:
        from transformers import CLIPVisionModelWithProjection

        from earthsynth_factory.models.style_images import add_style

        add_style(pipe, model.style, load_network(model.style.encoder, CLIPVisionModelWithProjection))
    return pipe


def text_encoders(base: BaseModel) -> list[tuple[str, Part, Any]]:
    """(name, files, class) of the text encoders."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    second = [(TEXT_2, base.second[0], CLIPTextModelWithProjection)] if base.second else []
    return [(TEXT, base.text, CLIPTextModel), *second]


def be_quiet() -> None:
    """No bars and remarks of the libraries between our own lines; what matters is raised by `load_network`."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def _tokenizer(folder: Path | None, text: Part) -> Any:
    from transformers import CLIPTokenizer

    if folder is None:
        from earthsynth_factory.models.single_file import clip_tokenizer

        return clip_tokenizer(text)
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ModelError(
            f"{folder}: not loadable as a CLIPTokenizer: {first_line(error)}; fetch the model again"
        ) from error
    known, room = text.get("vocab_size"), int(text.get("max_position_embeddings", 77))
    if known is not None and len(tokenizer) > known:
        raise ModelError(
            f"{folder}: has {len(tokenizer)} words with those that begin and end a text, {text.folder} knows {known}; "
            "take both from one model"
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, room)
    if tokenizer.model_max_length < SHORTEST:
        raise ModelError(
            f"{folder}: model_max_length is {tokenizer.model_max_length}, which holds no word; fetch the model again"
        )
    return tokenizer


def _from_folder(part: Part, kind: Any) -> Any:
    options: dict[str, Any] = {
        "use_safetensors": True,
        "local_files_only": True,
        "output_loading_info": True,
        "variant": part.variant,
    }
    options["ignore_mismatched_sizes"] = True  # they are refused below, in our words
    if kind.__module__.startswith("transformers"):
        options["dtype"] = _saved_precision(part)  # left out, a note in the configuration would decide it
    try:
        network, report = kind.from_pretrained(part.folder, **options)
    except Exception as error:  # the libraries raise many kinds for a damaged folder; all mean the same to the user
        raise ModelError(
            f"{part.folder}: not loadable as a {kind.__name__}: {first_line(error)}; fetch the model again"
        ) from error
    refuse_unmatched(part.folder, report)
    return network


def _saved_precision(part: Part) -> torch.dtype:
    """What holds every weight as it lies in its file."""
    names = {facts.dtype for path in part.weights for facts in read_header(path).values() if facts.fractions}
    if names == {"F16"}:
        return torch.float16
    return torch.bfloat16 if names == {"BF16"} else torch.float32


@torch.no_grad()
def _refuse_nan(part: Part, network: nn.Module) -> None:
    for name, weight in network.named_parameters():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            what = "NaN" if bool(weight.isnan().any()) else "infinite numbers"
            raise ModelError(f"{part.folder}: {name} holds {what}; fetch the model again, or mend its training")
