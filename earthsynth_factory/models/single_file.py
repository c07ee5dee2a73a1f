"""Weights in one file, in the key layout from before diffusers (`model.diffusion_model.input_blocks…`): Stable Diffusion 1.x.

Such a file has no configuration. What the shapes tell is read off its header; the rest is what every Stable Diffusion 1.x
has: 8 attention heads, norms in 32 groups, epsilon prediction, CLIP's vocabulary. Files of other families are refused.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.models.fit import DRIVEN
from earthsynth_factory.models.inspection import BaseModel
from earthsynth_factory.models.part import Part, refuse_unmatched
from earthsynth_factory.models.safetensors_file import TensorFacts, read_header

_UNET, _CONTROL, _VAE, _TEXT = (
    "model.diffusion_model.", "control_model.", "first_stage_model.", "cond_stage_model.transformer.",
)  # fmt: skip

_HEADS, _SCALING, _HEAD_WIDTH = 8, 0.18215, 64

_SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}

Header = Mapping[str, TensorFacts]


def base_in(path: Path) -> BaseModel:
    """The pipeline in a file. Raises ModelError if it is not a whole Stable Diffusion 1.x."""
    header = read_header(path)
    _refuse_others(path, header)
    for prefix, part in ((_UNET, "UNet"), (_VAE, "autoencoder"), (_TEXT, "text encoder")):
        if not any(name.startswith(prefix) for name in header):
            raise ModelError(f"{path}: holds no {part} ({prefix}…); a base is a whole Stable Diffusion 1.x in one file")
    unet = {**_denoiser(path, _below(header, _UNET)), "_class_name": "UNet2DConditionModel"}
    unet["up_block_types"] = [_up(name) for name in reversed(unet["down_block_types"])]
    return BaseModel(
        place=path,
        unet=_part(path, unet),
        vae=_part(path, _autoencoder(path, _below(header, _VAE))),
        text=_part(path, _text(path, _below(header, _TEXT))),
        scheduler=_SCHEDULER,
        tokenizer=None,
    ).checked()


def controlnet_in(path: Path) -> Part:
    """The ControlNet in a file, with or without the prefix `control_model.`. Raises ModelError if there is none."""
    header = read_header(path)
    own = _below(header, _CONTROL) or dict(header)
    if "input_hint_block.0.weight" not in own:
        raise ModelError(
            f"{path}: no ControlNet in the original layout (input_hint_block.0.weight is missing); name another file"
        )
    hints = sorted(int(name.split(".")[1]) for name in own if re.fullmatch(r"input_hint_block\.\d+\.weight", name))
    places = [n for n in (0, *range(4, hints[-1], 4)) if n in hints]
    widths = [_shape(path, own, f"input_hint_block.{n}.weight")[0] for n in places]
    config = {**_denoiser(path, own), "_class_name": "ControlNetModel", "conditioning_embedding_out_channels": widths}
    config["conditioning_channels"] = _shape(path, own, "input_hint_block.0.weight")[1]
    return _part(path, config)


def vae_in(path: Path) -> Part:
    """The autoencoder in a file, alone or in a whole pipeline's. Raises ModelError if there is none."""
    header = read_header(path)
    own = _below(header, _VAE) or dict(header)
    if "encoder.conv_in.weight" not in own:
        raise ModelError(
            f"{path}: no autoencoder in the original layout (encoder.conv_in.weight is missing); name another file"
        )
    return _part(path, _autoencoder(path, own))


def load_original(part: Part, kind: Any) -> Any:
    """The network of a file, on the CPU. Raises ModelError if weights are missing or not loadable."""
    path = part.weights[0]
    try:
        network = _text_encoder(part) if kind.__name__ == "CLIPTextModel" else _converted(part, kind)
    except ModelError:
        raise
    except Exception as error:  # the converter fails in many ways on a file that is not whole
        raise ModelError(f"{path}: not loadable as a {kind.__name__}: {first_line(error)}; fetch it again") from error
    return network


def clip_tokenizer(text: Part) -> Any:
    """CLIP's own tokenizer, from the vocabulary that open_clip ships."""
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    source = SimpleTokenizer()
    words = {_SPECIAL.get(word, word): number for word, number in source.encoder.items()}
    merges = ["#version: 0.2", *(" ".join(pair) for pair in source.bpe_ranks)]
    with tempfile.TemporaryDirectory() as name:
        vocabulary, rules = Path(name) / "vocab.json", Path(name) / "merges.txt"
        vocabulary.write_text(json.dumps(words), encoding="utf-8")
        rules.write_text("\n".join(merges) + "\n", encoding="utf-8")
        room = int(text.get("max_position_embeddings", 77))
        return CLIPTokenizer(str(vocabulary), str(rules), model_max_length=room)


_SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}


_OWN = {
    "UNet2DConditionModel": (_UNET, ""),
    "ControlNetModel": (_CONTROL, ""),
    "AutoencoderKL": (_VAE, r"(en|de)coder\.|(post_)?quant_conv\."),
}
"""A network's prefix, and how the names behind it begin that are its own: files of autoencoders hold their losses too."""


def _refuse_other_count(part: Part, kind: Any) -> None:
    """The converter takes what it knows and leaves the rest; in both layouts a network has as many weights."""
    import torch

    prefix, own = _OWN[kind.__name__]
    header = read_header(part.weights[0])
    there = sum(bool(re.match(own, name)) for name in _below(header, prefix) or header)
    with torch.device("meta"):
        belong = len(kind.from_config(dict(part.config)).state_dict())
    if there != belong:
        raise ModelError(
            f"{part.weights[0]}: holds {there} weights of a {kind.__name__}, to one of its shape belong {belong}; "
            "fetch or convert the model again"
        )


def _converted(part: Part, kind: Any) -> Any:
    _refuse_other_count(part, kind)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "config.json").write_text(json.dumps(dict(part.config)))
        return kind.from_single_file(str(part.weights[0]), config=name, local_files_only=True)


def _text_encoder(part: Part) -> Any:
    from safetensors import safe_open
    from transformers import CLIPTextConfig, CLIPTextModel

    network = CLIPTextModel(CLIPTextConfig(**part.config))
    inner = "text_model." if any(name.startswith("text_model.") for name in network.state_dict()) else ""
    with safe_open(part.weights[0], framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(_TEXT)]  # noqa: SIM118  # no mapping
        weights = {
            inner + name.removeprefix(_TEXT).removeprefix("text_model."): file.get_tensor(name) for name in names
        }
    missing, unexpected = network.load_state_dict(weights, strict=False)
    refuse_unmatched(part.weights[0], {"missing_keys": missing, "unexpected_keys": unexpected})
    return network


def _refuse_others(path: Path, header: Header) -> None:
    found = {
        "conditioner.": "a Stable Diffusion XL in one file",
        "cond_stage_model.model.": "a Stable Diffusion 2.x in one file, which does not say what it predicts",
        "joint_blocks.": "a Stable Diffusion 3 in one file",
        "double_blocks.": "a Flux in one file",
    }
    for prefix, kind in found.items():
        if any(name.startswith((prefix, _UNET + prefix)) for name in header):
            raise ModelError(
                f"{path}: {kind}; {DRIVEN}, of files in the original layout 1.x alone. Others can be converted: "
                f"StableDiffusionPipeline.from_single_file({str(path)!r}).save_pretrained(FOLDER)"
            )
    if not any(name.startswith(_UNET) for name in header):
        raise ModelError(
            f"{path}: no Stable Diffusion in the original layout ({_UNET}… is missing); name another file or a folder"
        )


def _denoiser(path: Path, header: Header) -> dict[str, Any]:
    """Settings that UNet and ControlNet share, from the way down."""
    first = _shape(path, header, "input_blocks.0.0.weight")
    levels: list[list[tuple[int, bool]]] = [[]]
    number = 1
    while any(name.startswith(f"input_blocks.{number}.") for name in header):
        if f"input_blocks.{number}.0.op.weight" in header:
            levels.append([])
        else:
            width = _shape(path, header, f"input_blocks.{number}.0.out_layers.3.weight")[0]
            levels[-1].append((width, f"input_blocks.{number}.1.proj_in.weight" in header))
        number += 1
    if not all(levels):
        raise ModelError(f"{path}: not whole: {number} of its input blocks are there; fetch it again")
    words = next((name for name in header if name.endswith("attn2.to_k.weight")), None)
    return {
        "in_channels": first[1],
        "block_out_channels": [level[0][0] for level in levels],
        "layers_per_block": len(levels[0]),
        "down_block_types": ["CrossAttnDownBlock2D" if level[0][1] else "DownBlock2D" for level in levels],
        "cross_attention_dim": _shape(path, header, words, 2)[1] if words else None,
        "attention_head_dim": _HEADS,
    }


def _autoencoder(path: Path, header: Header) -> dict[str, Any]:
    widths: list[int] = []
    while (name := f"encoder.down.{len(widths)}.block.0.conv2.weight") in header:
        widths.append(_shape(path, header, name)[0])
    layers = sum(bool(re.fullmatch(r"encoder\.down\.0\.block\.\d+\.conv1\.weight", name)) for name in header)
    return {
        "_class_name": "AutoencoderKL",
        "block_out_channels": widths,
        "layers_per_block": layers,
        "latent_channels": _shape(path, header, "post_quant_conv.weight")[1],
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "scaling_factor": _SCALING,
    }


def _text(path: Path, header: Header) -> dict[str, Any]:
    words, width = _shape(path, header, "text_model.embeddings.token_embedding.weight", 2)
    layers = {name.split(".")[3] for name in header if name.startswith("text_model.encoder.layers.")}
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": _shape(path, header, "text_model.encoder.layers.0.mlp.fc1.weight", 2)[0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // _HEAD_WIDTH),
        "max_position_embeddings": _shape(path, header, "text_model.embeddings.position_embedding.weight", 2)[0],
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
    }


def _shape(path: Path, header: Header, name: str, rank: int = 4) -> tuple[int, ...]:
    """A weight's shape, of `rank` numbers: 4 of a convolution, 2 of a matrix."""
    if name not in header:
        raise ModelError(f"{path}: not whole: {name} is missing; fetch it again")
    shape = header[name].shape
    if len(shape) != rank:
        raise ModelError(f"{path}: {name} has the shape {shape}, not one of {rank} numbers; fetch it again")
    return shape


def _below(header: Header, prefix: str) -> dict[str, TensorFacts]:
    return {name.removeprefix(prefix): facts for name, facts in header.items() if name.startswith(prefix)}


def _up(down: str) -> str:
    return down.replace("Down", "Up")


def _part(path: Path, config: Mapping[str, Any]) -> Part:
    return Part(path, config, (path,), original=True)
