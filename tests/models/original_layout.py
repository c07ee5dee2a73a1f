"""A tiny Stable Diffusion 1.x and its ControlNet in one file each, with the key names from before diffusers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

WORDS, WIDTH = 49408, 64

UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (32, 32, 64, 64),
    "layers_per_block": 2,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 8,
}
"""Norms in 32 groups and 8 heads, as every Stable Diffusion 1.x has: the file does not say."""

VAE: dict[str, Any] = {
    "block_out_channels": (32, 32, 32, 32),
    "layers_per_block": 1,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip


def networks() -> dict[str, Any]:
    """UNet, ControlNet, autoencoder and text encoder with random weights from a fixed seed."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**UNET)
    control = ControlNetModel.from_unet(unet)
    for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.3)
    config = CLIPTextConfig(
        vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=1, num_attention_heads=1,
        bos_token_id=WORDS - 2, eos_token_id=WORDS - 1,
    )  # fmt: skip
    return {"unet": unet, "control": control, "vae": AutoencoderKL(**VAE), "text": CLIPTextModel(config)}


def save_base(made: dict[str, Any], path: Path) -> None:
    """The whole pipeline in one file."""
    text = {name.removeprefix("text_model."): weight for name, weight in made["text"].state_dict().items()}
    parts = {
        "model.diffusion_model.": {_denoiser(n): w for n, w in made["unet"].state_dict().items()},
        "first_stage_model.": {_autoencoder(n): _as_convolution(n, w) for n, w in made["vae"].state_dict().items()},
        "cond_stage_model.transformer.text_model.": text,
    }
    save_file({prefix + n: w.contiguous() for prefix, part in parts.items() for n, w in part.items()}, path)


def save_controlnet(made: dict[str, Any], path: Path) -> None:
    """The ControlNet in one file."""
    save_file({f"control_model.{_denoiser(n)}": w.contiguous() for n, w in made["control"].state_dict().items()}, path)


def _denoiser(name: str) -> str:
    """UNet's and ControlNet's: two layers to a block, four blocks, the lowest without attention."""
    for pattern, new in (
        (r"conv_in\.(.*)", r"input_blocks.0.0.\1"),
        (r"time_embedding\.linear_1\.(.*)", r"time_embed.0.\1"),
        (r"time_embedding\.linear_2\.(.*)", r"time_embed.2.\1"),
        (r"conv_norm_out\.(.*)", r"out.0.\1"),
        (r"conv_out\.(.*)", r"out.2.\1"),
        (r"controlnet_mid_block\.(.*)", r"middle_block_out.0.\1"),
        (r"controlnet_down_blocks\.(\d+)\.(.*)", r"zero_convs.\1.0.\2"),
        (r"controlnet_cond_embedding\.conv_in\.(.*)", r"input_hint_block.0.\1"),
        (r"controlnet_cond_embedding\.conv_out\.(.*)", r"input_hint_block.14.\1"),
    ):
        if re.fullmatch(pattern, name):
            return re.sub(pattern, new, name)
    if match := re.fullmatch(r"controlnet_cond_embedding\.blocks\.(\d+)\.(.*)", name):
        return f"input_hint_block.{2 * int(match[1]) + 2}.{match[2]}"
    if match := re.fullmatch(r"(mid_block|down_blocks\.(\d)|up_blocks\.(\d))\.(\w+)\.(\d)\.(.*)", name):
        where, kind, number, rest = match[1], match[4], int(match[5]), match[6]
        return f"{_place(where, kind, number)}.{_inner(kind, rest)}"
    raise KeyError(name)


def _place(where: str, kind: str, number: int) -> str:
    if where == "mid_block":
        return f"middle_block.{1 if kind == 'attentions' else 2 * number}"
    block = int(where[-1])
    if kind == "downsamplers":
        return f"input_blocks.{3 * block + 3}.0"
    if kind == "upsamplers":
        return f"output_blocks.{3 * block + 2}.{1 if block == 0 else 2}"
    row = f"input_blocks.{3 * block + number + 1}" if where[0] == "d" else f"output_blocks.{3 * block + number}"
    return f"{row}.{1 if kind == 'attentions' else 0}"


def _inner(kind: str, rest: str) -> str:
    if kind == "resnets":
        layer, _, end = rest.partition(".")
        return f"{_RESNET[layer]}.{end}"
    return rest.replace("conv.", "op.") if kind == "downsamplers" else rest


def _autoencoder(name: str) -> str:
    name = re.sub(r"^(en|de)coder\.conv_norm_out", r"\1coder.norm_out", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name)
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_shortcut", "nin_shortcut")
    if "attn_1" in name:
        for new, old in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            name = name.replace(new, old)
    return name


def _as_convolution(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Attention of the old autoencoder is made of 1 × 1 convolutions."""
    linear = "attentions" in name and name.endswith("weight") and weight.ndim == 2
    return weight[:, :, None, None] if linear else weight
