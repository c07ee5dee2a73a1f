"""Global and local loss. That there are both is the paper's figure; what the local one averages over is our reading."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cells(pixels: Tensor, side: int) -> Tensor:
    """Share (B, h, w) of each latent cell that is so, from bool (B, S, S) and h = w = `side`."""
    return F.adaptive_avg_pool2d(pixels[:, None].float(), side)[:, 0]


def losses(
    predicted: Tensor, target: Tensor, inside: Tensor, known: Tensor, weights: Tensor, local: float
) -> dict[str, Tensor]:
    """`loss` = mean of weights·(global + local·λ), and its parts unweighted, each a scalar.

    predicted, target (B, C, h, w); inside, known (B, h, w) as `cells` gives; weights (B,). What is not known, ignored in
    the mask, is not learnt from. A sample without foreground has no local part.
    """
    error = (predicted.float() - target.float()).square().mean(dim=1)
    everywhere, there = cell_mean(error, known), cell_mean(error, inside)
    return {
        "loss": (weights * (everywhere + local * there)).mean(),
        "global": everywhere.detach().mean(),
        "local": there.detach().mean(),
    }


def cell_mean(error: Tensor, share: Tensor) -> Tensor:
    """Mean (B,) of (B, h, w), each cell by its share; 0 where there is none."""
    whole = share.sum(dim=(1, 2))
    return torch.where(whole > 0, (error * share).sum(dim=(1, 2)) / whole.clamp(min=1e-6), torch.zeros_like(whole))
