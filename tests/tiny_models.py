"""Pipelines with random weights, saved in the hub's layout: the loading code cannot tell them from the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

TEXT_WIDTH = 32

# Stable Diffusion 1.5's block structure (two layers a level, attention on all but the lowest) with narrow channels.
TINY: dict[str, Any] = {
    "unet": {
        "sample_size": 8,
        "block_out_channels": (16, 16, 32, 32),
        "layers_per_block": 2,
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    },
    "vae": {
        "block_out_channels": (8, 8, 16, 16),
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    },
    "text": {"hidden_size": TEXT_WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
}

SD15: dict[str, Any] = {
    "unet": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "vae": {
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "latent_channels": 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    },
    "text": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
}
"""The true sizes of Stable Diffusion 1.5."""


def make_pipeline(folder: Path, sizes: dict[str, Any] = TINY) -> StableDiffusionControlNetPipeline:
    """A pipeline with random weights from a fixed seed. The tokenizer's two files are written to `folder`."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(folder)
    text = CLIPTextModel(
        CLIPTextConfig(
            **sizes["text"],
            vocab_size=len(tokenizer),
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    unet = UNet2DConditionModel(**sizes["unet"])
    controlnet = lively_controlnet(unet)
    # Random words hardly move a random UNet: they, too, would hide in rounding.
    for name, weight in unet.named_parameters():
        if name.endswith("attn2.to_out.0.weight"):
            weight.data *= 20
    return StableDiffusionControlNetPipeline(
        vae=AutoencoderKL(**sizes["vae"]),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        controlnet=controlnet,
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def make_xl_pipeline(folder: Path) -> StableDiffusionXLControlNetPipeline:
    """Stable Diffusion XL's structure, tiny, with random weights from a fixed seed: two text encoders, three levels."""
    torch.manual_seed(1)
    tokenizer = _tokenizer(folder)
    text = {**TINY["text"], "vocab_size": len(tokenizer), "max_position_embeddings": 77, "projection_dim": 24}
    config = CLIPTextConfig(**text, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32, 32), layers_per_block=2, cross_attention_dim=2 * TEXT_WIDTH,
        attention_head_dim=(2, 4, 4), norm_num_groups=8, use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 24, transformer_layers_per_block=(1, 1, 2),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    made = StableDiffusionXLControlNetPipeline(
        vae=AutoencoderKL(**TINY["vae"], scaling_factor=0.13025),
        text_encoder=CLIPTextModel(config),
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        controlnet=lively_controlnet(unet),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="leading",
        ),
        add_watermarker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def lively_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet of the UNet's shape that does something: a new one is zero at its ends, which would hide in rounding."""
    controlnet = ControlNetModel.from_unet(unet)
    ends = [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]
    for layer in [*ends, controlnet.controlnet_cond_embedding.conv_out]:
        torch.nn.init.normal_(layer.weight, std=0.3)
    return controlnet


def save_pipeline(folder: Path, sizes: dict[str, Any] = TINY) -> None:
    """Save a random pipeline with its ControlNet inside, as `from_pretrained` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    make_pipeline(folder / "words", sizes).save_pretrained(folder, safe_serialization=True)


def _tokenizer(folder: Path) -> CLIPTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789,.-")
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
