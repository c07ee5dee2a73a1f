"""The player against blur: it judges patches real or made, and what it looks at becomes a measure of likeness.

The hinge loss and a discriminator of patches are usual (PatchGAN, arXiv 1611.07004); comparing its features, which keeps
a small discriminator's verdict from running away with the picture, is pix2pixHD's (arXiv 1711.11585). Weights: ours.
Shapes: images (B, 3, S, S) in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.embedded.loop import descend
from research.embedded.precision import autocast

FOOL_WEIGHT = 0.03
MATCH_WEIGHT = 1.0
LR = 3e-4


class PatchDiscriminator(nn.Sequential):
    """Logits (B, 1, S/8, S/8): is each patch of about 30 pixels real?"""

    def __init__(self, width: int = 32) -> None:
        layers: list[nn.Module] = []
        for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.GroupNorm(8, after), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(4 * width, 1, 3, 1, 1))

    def features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """What each of the three levels sees, (B, width·2^level, S/2^(level+1), S/2^(level+1)), and the logits."""
        seen = []
        for layer in self:
            images = layer(images)
            if isinstance(layer, nn.LeakyReLU):
                seen.append(images)
        return seen, images


class Adversary:
    """A discriminator with its optimizer: a term of the other player's loss, and a turn of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.network = PatchDiscriminator().to(device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=LR, betas=(0.5, 0.98))

    def losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What the maker of `fake` is to lower: `match`, the features' mean distance, and `fool`, the verdict against it."""
        self.network.requires_grad_(False)
        with autocast(self.device):
            with torch.no_grad():
                wanted, _ = self.network.features(real)
            seen, verdict = self.network.features(fake)
        self.network.requires_grad_(True)
        apart = [F.l1_loss(one.float(), other.float()) for one, other in zip(seen, wanted, strict=True)]
        return {"match": MATCH_WEIGHT * torch.stack(apart).mean(), "fool": -FOOL_WEIGHT * verdict.float().mean()}

    def learn(self, real: Tensor, fake: Tensor) -> Tensor:
        """One hinge step; gives its loss."""
        with autocast(self.device):
            verdicts = self.network(torch.cat([real, fake.detach().to(real.dtype)]))
        on_real, on_fake = verdicts.float().chunk(2)
        loss = (F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()) / 2
        descend(self.optimizer, list(self.network.parameters()), loss)
        return loss
