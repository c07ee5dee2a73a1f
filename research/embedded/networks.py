"""The diffusion side's networks, all plain diffusers and transformers classes, and the pipeline they make together."""

from __future__ import annotations

from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from earthsynth_factory.training.controlnet.base_model import scaled_residuals
from research.embedded.recipe import AutoencoderSpec, DenoiserSpec

TOKENS = 32
"""Longest prompt in tokens, start and end included."""


FLOW_SHIFT = 1.5
"""Moves the noise levels up: of two steps the second is at σ = 0.6."""

MOST_STEPS = 50


def build_text(spec: DenoiserSpec, tokenizer: CLIPTokenizer) -> CLIPTextModel:
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


def build_autoencoder(spec: AutoencoderSpec, size: int) -> AutoencoderKL:
    """A fresh autoencoder: len(channels) levels, so f = 2^(levels − 1); no attention (it is what hurts on a CPU)."""
    levels = len(spec.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=spec.channels,
        layers_per_block=1,
        latent_channels=spec.latent_channels,
        norm_num_groups=8,
        sample_size=size,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


def build_unet(spec: DenoiserSpec, latent_channels: int, latent_size: int) -> UNet2DConditionModel:
    """A UNet on (B, C, s, s) latents."""
    down = ["CrossAttnDownBlock2D" if here else "DownBlock2D" for here in spec.attention]
    up = ["CrossAttnUpBlock2D" if here else "UpBlock2D" for here in reversed(spec.attention)]
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=spec.channels,
        layers_per_block=spec.layers,
        cross_attention_dim=spec.text_width,
        attention_head_dim=spec.heads,  # diffusers reads it as the number of heads
        norm_num_groups=16,
    )


def build_control(spec: DenoiserSpec, latent_channels: int) -> ControlNetModel:
    """A ControlNet of the UNet's widths, open from the start; images (B, 3, S, S) in [0, 1].

    Without attention: the mask says what is where, so the text has nothing to tell it.
    """
    return scaled_residuals(
        ControlNetModel(
            in_channels=latent_channels,
            down_block_types=("DownBlock2D",) * len(spec.channels),
            mid_block_type="UNetMidBlock2D",
            block_out_channels=spec.channels,
            layers_per_block=spec.layers,
            cross_attention_dim=spec.text_width,
            attention_head_dim=spec.heads,
            norm_num_groups=16,
            conditioning_embedding_out_channels=spec.condition_channels,
            only_cross_attention=False,
        )
    )


def build_scheduler(steps: int) -> UniPCMultistepScheduler:
    """Flow matching: x_σ = (1 − σ)·x₀ + σ·ε, the network gives ε − x₀ at timestep 1000·σ.

    Of first order and without its corrector UniPC goes from each step's x₀ straight to the next noise level, which is how
    `few_steps` trains; more than the `steps` that were trained are possible and better by nothing.
    """
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=FLOW_SHIFT,
        solver_order=1,
        disable_corrector=list(range(max(steps, MOST_STEPS))),
    )


def assemble(
    modules: dict[str, nn.Module], vae: AutoencoderKL, tokenizer: CLIPTokenizer, steps: int
) -> StableDiffusionControlNetPipeline:
    """The pipeline of `modules` (text, unet, control). It shares their weights."""
    pipeline = StableDiffusionControlNetPipeline(
        vae=vae,
        text_encoder=modules["text"],
        tokenizer=tokenizer,
        unet=modules["unet"],
        controlnet=modules["control"],
        scheduler=build_scheduler(steps),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
