"""Moving averages of weights: what a training leaves behind is steadier than any of its steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """Copies of modules that follow them. The memory grows with the steps done, up to `decay`."""

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self.modules = {name: copy.deepcopy(module).eval().requires_grad_(False) for name, module in modules.items()}
        self._decay = decay
        self._own: list[Tensor] = [weight for module in self.modules.values() for weight in module.parameters()]
        self._followed: list[Tensor] = [weight for module in modules.values() for weight in module.parameters()]

    @torch.no_grad()
    def follow(self, number: int) -> None:
        """After step `number`."""
        decay = min(self._decay, (1 + number) / (10 + number))
        torch._foreach_lerp_(self._own, self._followed, 1 - decay)
