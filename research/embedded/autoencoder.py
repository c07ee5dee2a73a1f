"""Stage 1: a small AutoencoderKL (f8): its encoder begins as a PCA; trained with L1, gradient and, late, an adversary.

Shapes: images (B, 3, S, S) in [-1, 1]; latents (B, C, S/8, S/8).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from earthsynth_factory.training import order
from earthsynth_factory.training.symmetry import dihedral
from research.embedded.crops import CropSet
from research.embedded.pca import write_encoder
from research.embedded.pixels import to_pixels, to_tensor
from research.embedded.precision import autocast
from research.embedded.recipe import AutoencoderSpec
from research.embedded.reconstruction import ReconstructionStage
from research.grids import save_grid

KL_WEIGHT = 1e-6


def build(spec: AutoencoderSpec, size: int) -> AutoencoderKL:
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


class AutoencoderStage(ReconstructionStage):
    """Trains on random windows of the crops; L1 and gradient first, the adversary from `adversary_from` of the steps on."""

    name = "autoencoder"
    warmup = 100

    def __init__(self, spec: AutoencoderSpec, crops: CropSet, size: int, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.spec, self.seed = spec, seed
        self.images = crops.images
        self.model = build(spec, size)
        write_encoder(self.model, crops.images, seed)
        self.model.to(device, memory_format=torch.channels_last)
        super().__init__(spec, device, {"model": self.model})

    def remake(self, number: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Windows of crops, through the latent and back."""
        real = self._windows(number)
        noise = order.generator(self.seed, self.device, "posterior", number)
        with autocast(self.device):
            posterior = self.model.encode(real).latent_dist
            fake = self.model.decode(posterior.sample(noise)).sample
        return real, fake, {"kl": KL_WEIGHT * posterior.kl().mean()}

    @torch.no_grad()
    def sample(self, path: Path) -> None:
        """Real crops above their reconstructions."""
        picks = np.linspace(0, len(self.images) - 1, 12).astype(int)
        real = to_tensor(self.images[picks], self.device)
        fake = self.model(real).sample
        save_grid(path, [[to_pixels(real), to_pixels(fake)]])

    def _windows(self, number: int) -> Tensor:
        """Batch of windows at random places, turned and mirrored, from the crops that the order gives for this step."""
        picks = order.batch(self.seed, number, len(self.images), self.batch)
        random = order.rng(self.seed, "windows", number)
        span = self.images.shape[1] - self.spec.window
        windows = []
        for pick in picks:
            y, x, turn = random.integers(0, [span + 1, span + 1, 8])
            windows.append(dihedral(self.images[pick, y : y + self.spec.window, x : x + self.spec.window], int(turn)))
        return to_tensor(np.stack(windows), self.device)


@torch.no_grad()
def standardise(model: AutoencoderKL, mean: Tensor, deviation: Tensor) -> None:
    """Folds z' = (z − mean) / deviation, per latent channel (C,), into the 1×1 convolutions on both sides of the latent.

    So the latents have unit scale with `scaling_factor` 1, which is all that the pipeline's decoder knows of. The
    log-variances move along (by −2 ln deviation): the posterior stays the same distribution, in new units.
    """
    channels = len(mean)
    enter, leave = model.quant_conv, model.post_quant_conv
    enter.weight[:channels] /= deviation[:, None, None, None]
    enter.bias[:channels] = (enter.bias[:channels] - mean) / deviation
    enter.bias[channels:] -= 2 * deviation.log()
    leave.bias += leave.weight[:, :, 0, 0] @ mean
    leave.weight *= deviation[None, :, None, None]
