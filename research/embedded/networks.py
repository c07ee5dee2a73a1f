"""The diffusion side's networks, all plain diffusers and transformers classes, and the pipeline they make together."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from earthsynth_factory.training.controlnet.base_model import opened
from research.embedded.recipe import DiffusionSpec

TOKENS = 32
"""Longest prompt in tokens, start and end included."""


def build_text(spec: DiffusionSpec, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A small text encoder over our own vocabulary: states (B, TOKENS, text_width)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=spec.text_width,
            intermediate_size=4 * spec.text_width,
            num_hidden_layers=spec.text_layers,
            num_attention_heads=spec.text_width // 32,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet(spec: DiffusionSpec, latent_channels: int, latent_size: int) -> UNet2DConditionModel:
    """A UNet on (B, C, s, s) latents, with attention below its first level only."""
    lower = len(spec.channels) - 1
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * lower),
        up_block_types=(*("CrossAttnUpBlock2D",) * lower, "UpBlock2D"),
        block_out_channels=spec.channels,
        layers_per_block=spec.layers,
        cross_attention_dim=spec.text_width,
        attention_head_dim=spec.channels[0] // 16,  # diffusers reads it as the number of heads
        norm_num_groups=16,
    )


def build_control(spec: DiffusionSpec, unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet with the UNet's own shape and weights, open from the start; images (B, 3, S, S) in [0, 1]."""
    return opened(ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=spec.condition_channels))


def build_scheduler() -> UniPCMultistepScheduler:
    """UniPC on flow matching: x_σ = (1 − σ)·x₀ + σ·ε, the network gives ε − x₀ at timestep 1000·σ."""
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0)


def assemble(
    modules: dict[str, nn.Module], vae: AutoencoderKL, tokenizer: CLIPTokenizer
) -> StableDiffusionControlNetPipeline:
    """The pipeline of `modules` (text, unet, control). It shares their weights."""
    pipeline = StableDiffusionControlNetPipeline(
        vae=vae,
        text_encoder=modules["text"],
        tokenizer=tokenizer,
        unet=modules["unet"],
        controlnet=modules["control"],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def to_control(painted: torch.Tensor) -> torch.Tensor:
    """uint8 (B, S, S, 3) → float32 (B, 3, S, S) in [0, 1], as the pipeline's own preprocessing gives."""
    return (painted.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
