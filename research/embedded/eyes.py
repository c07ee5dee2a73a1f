"""A teacher that learnt ImageNet: its maps of real and made images, brought to one scale, and how far they are apart.

Shapes: images (B, 3, S, S) in [-1, 1]; maps (B, C, S/s, S/s) by stride s.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earthsynth_factory.evaluation.features import Lite0
from research.embedded.precision import autocast

Maps = dict[int, Tensor]

COMPARED = (2, 4, 8, 16)
"""Strides at which images are compared place by place."""

L1_WEIGHT = 2.0


class Eyes(nn.Module):
    """Lite0 with every channel at mean 0 and deviation 1 over real images."""

    def __init__(self, network: Lite0, real: Tensor) -> None:
        super().__init__()
        self.network = network
        self.moments: dict[int, tuple[Tensor, Tensor]] = {}
        with torch.no_grad():
            for stride, one in network(real).items():
                mean, deviation = one.mean(dim=(0, 2, 3), keepdim=True), one.std(dim=(0, 2, 3), keepdim=True)
                self.moments[stride] = (mean, 1 / deviation.clamp_min(1e-3))

    def forward(self, images: Tensor) -> Maps:
        """Maps by stride; in bf16 if the machine computes in it."""
        with autocast(images.device):
            maps: Maps = self.network(images)
        return {stride: (one - self.moments[stride][0]) * self.moments[stride][1] for stride, one in maps.items()}


def apart(images: Tensor, wanted: Tensor, maps: Maps, wanted_maps: Maps) -> Tensor:
    """Distance of images from those that are wanted, pixel by pixel and map by map; summed over the batch."""
    parts = [L1_WEIGHT * (images - wanted).abs().mean(dim=(1, 2, 3))]
    parts += [(maps[stride].float() - wanted_maps[stride].float()).abs().mean(dim=(1, 2, 3)) for stride in COMPARED]
    return torch.stack(parts).sum()


def lights(count: int, random: torch.Generator) -> Tensor:
    """How much saturation, contrast and brightness change, each in [-0.5, 0.5], for `count` images: (3, B, 1, 1, 1)."""
    return torch.rand(3, count, 1, 1, 1, generator=random, device=random.device) - 0.5


def relight(images: Tensor, light: Tensor) -> Tensor:
    """Images in another light: what a judge is shown, so that it cannot know the few real ones by heart."""
    grey = images.mean(dim=1, keepdim=True)
    coloured = grey + (images - grey) * (1 + light[0])
    middle = coloured.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (coloured - middle) * (1 + 0.6 * light[1]) + 0.5 * light[2]
