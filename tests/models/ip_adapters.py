"""IP-Adapters of random numbers for a tiny UNet, plain and Plus, with a tiny image encoder and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

HIDDEN, PROJECTED, HEAD = 32, 24, 64


def save_adapter(unet: Any, path: Path, plus: bool = False) -> Path:
    """As the authors save them: numbered by the UNet's attention layers."""
    torch.manual_seed(6)
    width = unet.config.cross_attention_dim
    found = {f"image_proj.{name}": one for name, one in (_resampler(width) if plus else _projection(width)).items()}
    for number, shape in enumerate(_shapes(unet)):
        for kind in ("k", "v"):
            found[f"ip_adapter.{2 * number + 1}.to_{kind}_ip.weight"] = torch.randn(shape) * 0.3
    save_file(found, path)
    return path


def save_encoder(folder: Path) -> Path:
    torch.manual_seed(7)
    config = CLIPVisionConfig(
        hidden_size=HIDDEN, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=16, patch_size=8,
        projection_dim=PROJECTED,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def save_pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(count):
        pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def _shapes(unet: Any) -> list[tuple[int, ...]]:
    """Of the keys of the layers that look at text, in the UNet's own order."""
    weights = dict(unet.named_parameters())
    names = [name.removesuffix(".processor") for name in unet.attn_processors if "attn2" in name]
    return [tuple(weights[f"{name}.to_k.weight"].shape) for name in names]


def _projection(width: int) -> dict[str, Tensor]:
    return {
        "proj.weight": torch.randn(4 * width, PROJECTED) * 0.3, "proj.bias": torch.randn(4 * width) * 0.1,
        "norm.weight": torch.ones(width), "norm.bias": torch.zeros(width),
    }  # fmt: skip


def _resampler(width: int) -> dict[str, Tensor]:
    inner = HEAD
    found = {
        "latents": torch.randn(1, 4, inner) * 0.3, "proj_in.weight": torch.randn(inner, HIDDEN) * 0.3,
        "proj_in.bias": torch.zeros(inner), "proj_out.weight": torch.randn(width, inner) * 0.3,
        "proj_out.bias": torch.zeros(width), "norm_out.weight": torch.ones(width), "norm_out.bias": torch.zeros(width),
    }  # fmt: skip
    for number in range(4):
        for name in ("0.norm1", "0.norm2", "1.0"):
            found[f"layers.{number}.{name}.weight"] = torch.ones(inner)
            found[f"layers.{number}.{name}.bias"] = torch.zeros(inner)
        shapes = {"0.to_q": (HEAD, inner), "0.to_kv": (2 * HEAD, inner), "0.to_out": (inner, HEAD),
                  "1.1": (4 * inner, inner), "1.3": (inner, 4 * inner)}  # fmt: skip
        for name, shape in shapes.items():
            found[f"layers.{number}.{name}.weight"] = torch.randn(shape) * 0.3
    return found
