"""Stage 1: a small AutoencoderKL (f8): its encoder begins as a PCA; trained with L1, gradient and, late, an adversary.

Shapes: images (B, 3, S, S) in [-1, 1]; latents (B, C, S/8, S/8).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from earthsynth_factory.training import order
from earthsynth_factory.training.checkpoint import pack_state, unpack_state
from earthsynth_factory.training.embedded.adversary import Adversary
from earthsynth_factory.training.embedded.crops import CropSet
from earthsynth_factory.training.embedded.pca import write_encoder
from earthsynth_factory.training.embedded.precision import autocast
from earthsynth_factory.training.embedded.recipe import AutoencoderSpec
from earthsynth_factory.training.grids import save_grid
from earthsynth_factory.training.loop import descend, warmup_cosine
from earthsynth_factory.training.symmetry import dihedral as dihedral  # others take it from here

GRADIENT_WEIGHT = 1.0
KL_WEIGHT = 1e-6
WARMUP = 100


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


class AutoencoderStage:
    """Trains on random windows of the crops; L1 and gradient first, the adversary from `adversary_from` of the steps on."""

    name = "autoencoder"

    def __init__(self, spec: AutoencoderSpec, crops: CropSet, size: int, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.spec, self.seed, self.device, self.batch = spec, seed, device, spec.batch
        self.images = crops.images
        self.model = build(spec, size)
        write_encoder(self.model, crops.images, seed)
        self.model.to(device, memory_format=torch.channels_last)
        self.adversary = Adversary(device)
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=spec.lr, betas=(0.9, 0.98), weight_decay=1e-4)
        self._optimizers = {"optimizer": self.optimizer, "adversary_optimizer": self.adversary.optimizer}
        self._modules: dict[str, nn.Module] = {"model": self.model, "adversary": self.adversary.network}

    def step(self, number: int) -> dict[str, float]:
        """One step of the autoencoder and, once it plays, one of the adversary."""
        factor = warmup_cosine(number, self.spec.steps, WARMUP)
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.lr * factor
        real = self._windows(number)
        noise = order.generator(self.seed, self.device, "posterior", number)
        with autocast(self.device):
            posterior = self.model.encode(real).latent_dist
            fake = self.model.decode(posterior.sample(noise)).sample
        losses = reconstruction_losses(real, fake.float())
        losses["kl"] = KL_WEIGHT * posterior.kl().mean()
        if number >= self.spec.adversary_from * self.spec.steps:
            losses |= self.adversary.losses(real, fake)
        descend(self.optimizer, self.parameters, torch.stack(list(losses.values())).sum())
        if self.spec.adversary_from < 1:
            losses["judge"] = self.adversary.learn(real, fake)
        return {name: float(value.detach()) for name, value in losses.items()}

    def state(self) -> dict[str, Tensor]:
        """Weights and moments of both players."""
        return pack_state(self._modules, self._optimizers)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        unpack_state(self._modules, self._optimizers, tensors)

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


def reconstruction_losses(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """L1 of pixels and of their horizontal and vertical differences: the second is what keeps edges sharp."""
    error = fake - real
    across, down = error.diff(dim=3).abs().mean(), error.diff(dim=2).abs().mean()
    return {"l1": error.abs().mean(), "gradient": GRADIENT_WEIGHT * (across + down) / 2}


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


def to_tensor(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (B, H, W, 3) → float32 (B, 3, H, W) in [-1, 1], channels last."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)
    return (tensor.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def to_pixels(images: Tensor) -> npt.NDArray[np.uint8]:
    """The inverse of `to_tensor`, clipped."""
    scaled = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(scaled.permute(0, 2, 3, 1).cpu().numpy())
