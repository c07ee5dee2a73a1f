"""The player against blur and smear: small heads on a teacher's maps that tell real images from made ones.

Judging in the features of a frozen network, at several depths, is Projected GAN's idea (arXiv 2111.01007); that the heads
see the mask too makes them judge whether the image shows it. Heads, hinge loss and weighing as here are ours.
Shapes: maps by stride as `Eyes` gives them; masks uint8 (B, S, S).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from research.embedded.eyes import Eyes, Maps, apart, lights, relight
from research.embedded.precision import autocast

WIDTHS = {2: 32, 4: 64, 8: 128, 16: 128, 32: 128}
"""Stride → width of the head on it."""

MASK_WIDTH = 32


class Heads(nn.Module):
    """For every stride logits (B, 1, S/s, S/s): is each patch real, and is it what the mask says?"""

    def __init__(self, depths: dict[int, int], categories: Sequence[int]) -> None:
        """depths: stride → channels of its map. categories: ids that masks hold; others count as background."""
        super().__init__()
        columns = torch.zeros(256, dtype=torch.long)
        columns[list(categories)] = torch.arange(1, len(categories) + 1)
        kinds = len(categories) + 1
        self.shown: Tensor
        self.register_buffer("shown", torch.eye(kinds)[columns], persistent=False)
        self.masks = nn.ModuleDict({str(stride): nn.Conv2d(kinds, MASK_WIDTH, 1) for stride in depths})
        self.heads = nn.ModuleDict({str(s): _head(depth + MASK_WIDTH, WIDTHS[s]) for s, depth in depths.items()})

    def forward(self, maps: Maps, masks: Tensor) -> list[Tensor]:
        """See the class."""
        with autocast(masks.device):
            shown = self.shown[masks.int()].permute(0, 3, 1, 2)
            verdicts = []
            for stride, one in maps.items():
                layout = self.masks[str(stride)](F.avg_pool2d(shown, stride))
                verdicts.append(self.heads[str(stride)](torch.cat([one, layout.to(one.dtype)], dim=1)))
        return [verdict.float() for verdict in verdicts]


class Adversary:
    """The heads with their optimizer: a term of the other player's loss, and a turn of its own."""

    def __init__(self, heads: Heads, lr: float) -> None:
        self.heads, self.lr = heads, lr
        self.optimizer = torch.optim.Adam(heads.parameters(), lr=lr, betas=(0.0, 0.99))

    def against(self, maps: Maps, masks: Tensor) -> Tensor:
        """What the maker of these images is to lower, summed over the batch."""
        self.heads.requires_grad_(False)
        verdicts = self.heads(maps, masks)
        self.heads.requires_grad_(True)
        return -torch.stack([verdict.mean(dim=(1, 2, 3)) for verdict in verdicts]).sum()

    def learn(self, real: tuple[Maps, Tensor], fake: tuple[Maps, Tensor], share: float) -> Tensor:
        """One hinge step on maps and masks of real and of made images, at `share` of the learning rate; gives its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * share
        loss = torch.stack([_hinge(one, 1) for one in self.heads(*_detached(real))]).mean()
        loss = loss + torch.stack([_hinge(one, -1) for one in self.heads(*_detached(fake))]).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()


@dataclass(frozen=True, slots=True)
class Shown:
    """Images (B, 3, S, S) with their masks uint8 (B, S, S)."""

    images: Tensor
    masks: Tensor


class Judges:
    """A teacher's eyes and the heads on them: what made images lack, as a gradient, and the heads' own next step."""

    def __init__(self, eyes: Eyes, adversary: Adversary) -> None:
        self.eyes, self.adversary = eyes, adversary

    def turn(
        self, made: Shown, wanted: Tensor, weight: Tensor, real: Shown | None, random: torch.Generator, share: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient at `made.images` and the losses; the heads learn to tell `made` from `real`.

        wanted: what the made images are to be like. weight (B,): the verdict's weight beside that likeness. real: None
        if the wanted images are the real ones.
        """
        images = made.images.detach().requires_grad_()
        light = lights(len(images), random)
        maps = self.eyes(relight(images, light))
        with torch.no_grad():
            wanted_maps = self.eyes(relight(wanted, light))
            true = (wanted_maps, made.masks)
            if real is not None:
                true = (self.eyes(relight(real.images, lights(len(real.images), random))), real.masks)
        likeness = apart(images, wanted, maps, wanted_maps)
        verdict = self.adversary.against(maps, made.masks)
        gradient = balanced(images, likeness, verdict, weight) / len(images)
        hinge = self.adversary.learn(true, (maps, made.masks), share)
        losses = {"likeness": likeness.detach() / len(images), "verdict": verdict.detach() / len(images)}
        return gradient, losses | {"hinge": hinge}


def balanced(images: Tensor, likeness: Tensor, verdict: Tensor, weight: Tensor) -> Tensor:
    """The gradient at `images` of likeness plus verdict, the second brought to `weight` (B,) times the first's size.

    So neither player's loss has to be in the other's units, and what pushes the weights is known beforehand.
    """
    (toward,) = torch.autograd.grad(likeness, images, retain_graph=True)
    (away,) = torch.autograd.grad(verdict, images)
    ratio = toward.norm() / away.norm().clamp_min(1e-12)
    whole: Tensor = toward + away * (ratio * weight)[:, None, None, None]
    return whole


def _head(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(before, width, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, width, 3, 1, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )


def _hinge(verdict: Tensor, side: int) -> Tensor:
    return F.relu(1 - side * verdict).mean()


def _detached(judged: tuple[Maps, Tensor]) -> tuple[Maps, Tensor]:
    return {stride: one.detach() for stride, one in judged[0].items()}, judged[1]
