"""Stage 4: the decoder alone, on cached latents. The encoder stays as it is, so the diffusion model is not touched.

Shapes: latents (B, C, w/8, w/8), windows of the crops (B, 3, w, w) in [-1, 1], w = the spec's window.
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
from research.embedded.latents import LatentCache
from research.embedded.pixels import to_pixels, to_tensor
from research.embedded.precision import autocast
from research.embedded.recipe import DecoderSpec
from research.embedded.reconstruction import ReconstructionStage
from research.grids import save_grid

CELL = 8


class DecoderStage(ReconstructionStage):
    """Trains `vae.decoder` and `vae.post_quant_conv` on windows that lie on the latent grid."""

    name = "decoder"
    warmup = 50

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
        self.spec, self.seed = spec, seed
        self.crops, self.cache, self.vae = crops, cache, vae
        super().__init__(spec, device, {"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv})

    def remake(self, number: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Windows of crops, out of their latents."""
        latents, real = self._windows(number)
        with autocast(self.device):
            fake = self.vae.decode(latents).sample
        return real, fake, {}

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
