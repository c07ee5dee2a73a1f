"""Stage 2: every crop through the frozen autoencoder once, in several of the square's symmetries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.training.symmetry import dihedral
from research.embedded.autoencoder import standardise
from research.embedded.crops import CropSet
from research.embedded.pixels import to_tensor

BATCH = 64


@dataclass(frozen=True, slots=True)
class LatentCache:
    """latents float16 (N, V, C, s, s) of N crops in V symmetries each; turns uint8 (N, V), which symmetry (0–7)."""

    latents: Tensor
    turns: Tensor


@torch.no_grad()
def encode(model: AutoencoderKL, images: Tensor) -> Tensor:
    """Posterior means (B, C, s, s), float32."""
    means: Tensor = model.encode(images).latent_dist.mode().float()
    return means


def calibrate(model: AutoencoderKL, crops: CropSet, device: torch.device, seed: int) -> None:
    """Gives the latents zero mean and unit deviation per channel, measured on 1,024 crops, by `standardise`."""
    picks = rng(seed, "calibrate").permutation(len(crops))[:1024]
    parts = [encode(model, to_tensor(crops.images[p], device)) for p in np.array_split(picks, 16)]
    stacked = torch.cat(parts)
    standardise(model, stacked.mean(dim=(0, 2, 3)), stacked.std(dim=(0, 2, 3)))


def build_cache(model: AutoencoderKL, crops: CropSet, variants: int, device: torch.device, seed: int) -> LatentCache:
    """Encodes `variants` distinct symmetries of each crop, drawn from all eight."""
    turns = np.stack([rng(seed, "turns", i).permutation(8)[:variants] for i in range(len(crops))]).astype(np.uint8)
    latents = []
    for start in range(0, len(crops), BATCH):
        span = range(start, min(start + BATCH, len(crops)))
        images = np.stack([dihedral(crops.images[i], int(t)) for i in span for t in turns[i]])
        latents.append(encode(model, to_tensor(images, device)).half().cpu())
    encoded = torch.cat(latents)
    return LatentCache(encoded.reshape(len(crops), variants, *encoded.shape[1:]), torch.from_numpy(turns))


def save_cache(cache: LatentCache, path: Path) -> None:
    """One safetensors file, renamed into place when whole."""
    part = path.with_suffix(".part")
    save_file({"latents": cache.latents.contiguous(), "turns": cache.turns}, part)
    part.replace(path)


def load_cache(path: Path) -> LatentCache:
    """The inverse of `save_cache`."""
    return LatentCache(**load_file(path))
