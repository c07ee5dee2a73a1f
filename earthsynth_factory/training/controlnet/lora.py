"""Low-rank updates of the UNet's attention projections (Hu et al. 2021): W·x + B·(A·x), with B zero at the start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""Attention's linear layers, as diffusers names them."""


class TrainedLowRank(nn.Module):
    """A linear layer that stays as it is, and a trainable update of rank r beside it."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        self.down = nn.Linear(linear.in_features, rank, bias=False)
        self.up = nn.Linear(rank, linear.out_features, bias=False)
        nn.init.normal_(self.down.weight, std=1 / rank)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        out: Tensor = self.linear(x) + self.up(self.down(x))
        return out


def add(network: nn.Module, rank: int) -> None:
    """Puts a `TrainedLowRank` in place of every attention projection; of all parameters only the updates are trainable."""
    network.requires_grad_(False)
    found = [(name, module) for name, module in network.named_modules() if name.endswith(TARGETS)]
    for name, linear in found:
        if isinstance(linear, nn.Linear):
            network.set_submodule(name, TrainedLowRank(linear, rank))


@torch.no_grad()
def merge_lora(network: nn.Module, plain: nn.Module) -> None:
    """Adds every update of `network` to the layer of that name in `plain`, a network without updates."""
    for name, module in network.named_modules():
        if isinstance(module, TrainedLowRank):
            linear = plain.get_submodule(name)
            linear.weight += module.up.weight @ module.down.weight  # type: ignore[operator]


def export_lora(network: nn.Module) -> dict[str, Tensor]:
    """The updates under the names that diffusers' `load_lora_weights` reads."""
    out: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, TrainedLowRank):
            out[f"unet.{name}.lora_A.weight"] = module.down.weight.detach().cpu().clone()
            out[f"unet.{name}.lora_B.weight"] = module.up.weight.detach().cpu().clone()
    return out
