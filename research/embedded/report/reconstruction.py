"""What the autoencoder loses: the ceiling of everything that is generated through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from research.embedded.pixels import to_pixels, to_tensor

BATCH = 16


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Means over images: `psnr` in dB (peak 255), `ssim` in [-1, 1] (7 × 7 windows, mean over channels)."""

    psnr: float
    ssim: float


@torch.inference_mode()
def reconstruct(vae: AutoencoderKL, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Images uint8 (N, H, W, 3) through encoder (posterior mean) and decoder."""
    parts = []
    for start in range(0, len(images), BATCH):
        pixels = to_tensor(images[start : start + BATCH], vae.device).to(vae.dtype)
        parts.append(to_pixels(vae.decode(vae.encode(pixels).latent_dist.mode()).sample))
    return np.concatenate(parts)


def compare(real: npt.NDArray[np.uint8], copies: npt.NDArray[np.uint8]) -> Reconstruction:
    """PSNR and SSIM of `copies` against `real`, both uint8 (N, H, W, 3); an exact copy counts as 100 dB."""
    ratios, similarities = [], []
    for one, other in zip(real, copies, strict=True):
        exact = bool((one == other).all())
        ratios.append(100.0 if exact else float(peak_signal_noise_ratio(one, other, data_range=255)))
        similarities.append(float(structural_similarity(one, other, channel_axis=2, data_range=255)))
    return Reconstruction(float(np.mean(ratios)), float(np.mean(similarities)))
