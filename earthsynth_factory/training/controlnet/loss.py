"""Global and local loss. That there are both is the paper's figure; what the local one averages over is our reading."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cells(local: Tensor, side: int) -> Tensor:
    """Share (B, h, w) of each latent cell that is foreground or pasted, from bool (B, S, S) and h = w = `side`."""
    return F.adaptive_avg_pool2d(local[:, None].float(), side)[:, 0]


def losses(predicted: Tensor, target: Tensor, inside: Tensor, weights: Tensor, local: float) -> dict[str, Tensor]:
    """`loss` = mean of weights·(global + local·λ), and its parts unweighted, each a scalar.

    predicted, target (B, C, h, w); inside (B, h, w) as `cells` gives; weights (B,). A sample without foreground has no
    local part.
    """
    error = (predicted.float() - target.float()).square().mean(dim=1)
    everywhere = error.mean(dim=(1, 2))
    there = (error * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1e-6)
    there = torch.where(inside.sum(dim=(1, 2)) > 0, there, torch.zeros_like(there))
    return {
        "loss": (weights * (everywhere + local * there)).mean(),
        "global": everywhere.detach().mean(),
        "local": there.detach().mean(),
    }
