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

from research.embedded.recipe import DiffusionSpec

TOKENS = 32
"""Longest prompt in tokens, start and end included."""


CONTROL_SHARE = 0.3
"""Share of the ControlNet's features that reaches the UNet at the start of training."""


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


@torch.no_grad()
def build_control(spec: DiffusionSpec, unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet with the UNet's own shape and weights; images (B, 3, S, S) in [0, 1].

    The usual zero convolutions protect a trained UNet. Here there is none, and two of them in a row keep the mask's
    gradient near zero for hundreds of steps: so the residuals start at a share of the ControlNet's own features.
    """
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=spec.condition_channels)
    control.controlnet_cond_embedding.conv_out.reset_parameters()
    for convolution in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        nn.init.eye_(convolution.weight[:, :, 0, 0]).mul_(CONTROL_SHARE)
    return control


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


def parameters_in_millions(*modules: nn.Module) -> float:
    """Sum over modules, for reports."""
    return sum(p.numel() for module in modules for p in module.parameters()) / 1e6


def to_control(painted: torch.Tensor) -> torch.Tensor:
    """uint8 (B, S, S, 3) → float32 (B, 3, S, S) in [0, 1], as the pipeline's own preprocessing gives."""
    return (painted.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
