"""Stage 4: the decoder alone, on cached latents. The encoder stays as it is, so the diffusion model is not touched.

Shapes: latents (B, C, w/8, w/8), windows of the crops (B, 3, w, w) in [-1, 1], w = the spec's window.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from earthsynth_factory.training import order
from earthsynth_factory.training.checkpoint import pack_state, unpack_state
from earthsynth_factory.training.embedded.adversary import Adversary
from earthsynth_factory.training.embedded.autoencoder import reconstruction_losses, to_pixels, to_tensor
from earthsynth_factory.training.embedded.crops import CropSet
from earthsynth_factory.training.embedded.latents import LatentCache
from earthsynth_factory.training.embedded.precision import autocast
from earthsynth_factory.training.embedded.recipe import DecoderSpec
from earthsynth_factory.training.grids import save_grid
from earthsynth_factory.training.loop import descend, warmup_cosine
from earthsynth_factory.training.symmetry import dihedral

WARMUP = 50
CELL = 8


class DecoderStage:
    """Trains `vae.decoder` and `vae.post_quant_conv` on windows that lie on the latent grid."""

    name = "decoder"

    def __init__(
        self,
        spec: DecoderSpec,
        crops: CropSet,
        cache: LatentCache,
        vae: AutoencoderKL,
        seed: int,
        device: torch.device,
    ) -> None:
        torch.manual_seed(seed)
        self.spec, self.seed, self.device, self.batch = spec, seed, device, spec.batch
        self.crops, self.cache, self.vae = crops, cache, vae
        self.adversary = Adversary(device)
        self._modules: dict[str, nn.Module] = {
            "decoder": vae.decoder,
            "post_quant_conv": vae.post_quant_conv,
            "adversary": self.adversary.network,
        }
        self.parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=spec.lr, betas=(0.9, 0.98), weight_decay=1e-4)
        self._optimizers = {"optimizer": self.optimizer, "adversary_optimizer": self.adversary.optimizer}

    def step(self, number: int) -> dict[str, float]:
        """One step of the decoder and, once it plays, one of the adversary."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.lr * warmup_cosine(number, self.spec.steps, WARMUP)
        latents, real = self._windows(number)
        with autocast(self.device):
            fake = self.vae.decode(latents).sample
        losses = reconstruction_losses(real, fake.float())
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
        """Crops above what the decoder makes of their latents."""
        picks = np.linspace(0, len(self.crops) - 1, 12).astype(int)
        turned = [dihedral(self.crops.images[p], int(self.cache.turns[p, 0])) for p in picks]
        fake = self.vae.decode(self.cache.latents[picks, 0].float().to(self.device)).sample
        save_grid(path, [[np.stack(turned), to_pixels(fake)]])

    def _windows(self, number: int) -> tuple[Tensor, Tensor]:
        picks = order.batch(self.seed, number, len(self.crops), self.batch)
        random = order.rng(self.seed, "decoder", number)
        side = self.spec.window // CELL
        span = self.cache.latents.shape[-1] - side
        latents, windows = [], []
        for pick in picks:
            y, x, variant = random.integers(0, [span + 1, span + 1, self.cache.turns.shape[1]])
            image = dihedral(self.crops.images[pick], int(self.cache.turns[pick, variant]))
            windows.append(image[CELL * y : CELL * (y + side), CELL * x : CELL * (x + side)])
            latents.append(self.cache.latents[pick, variant, :, y : y + side, x : x + side])
        stacked = torch.stack(latents).float().to(self.device, memory_format=torch.channels_last)
        return stacked, to_tensor(np.stack(windows), self.device)
