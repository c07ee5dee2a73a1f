"""What the autoencoder's and the decoder's stages share: crops remade, with L1, gradient and, late, an adversary.

Shapes: images (B, 3, S, S) in [-1, 1].
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from earthsynth_factory.training.schedule import warmup_cosine
from research.embedded.adversary import Adversary
from research.embedded.loop import descend
from research.embedded.recipe import AutoencoderSpec, DecoderSpec
from research.embedded.state import pack_state, unpack_state

GRADIENT_WEIGHT = 1.0


class ReconstructionStage(ABC):
    """Steps of two players; the adversary learns from the first step on where it is to play from `adversary_from` on.

    modules: what is trained beside it, by its name in checkpoints.
    """

    warmup: int

    def __init__(
        self, spec: AutoencoderSpec | DecoderSpec, device: torch.device, modules: dict[str, nn.Module]
    ) -> None:
        self.device, self.batch = device, spec.batch
        self._steps, self._lr, self._adversary_from = spec.steps, spec.lr, spec.adversary_from
        self.adversary = Adversary(device)
        self.parameters = [weight for module in modules.values() for weight in module.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=spec.lr, betas=(0.9, 0.98), weight_decay=1e-4)
        self._modules = {**modules, "adversary": self.adversary.network}
        self._optimizers = {"optimizer": self.optimizer, "adversary_optimizer": self.adversary.optimizer}

    @abstractmethod
    def remake(self, number: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """A step's real images, the same remade, and further losses of the stage's own."""

    def step(self, number: int) -> dict[str, float]:
        """One step of the maker and one of the adversary."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr * warmup_cosine(number, self._steps, self.warmup)
        real, fake, further = self.remake(number)
        losses = reconstruction_losses(real, fake.float()) | further
        if number >= self._adversary_from * self._steps:
            losses |= self.adversary.losses(real, fake)
        descend(self.optimizer, self.parameters, torch.stack(list(losses.values())).sum())
        if self._adversary_from < 1:
            losses["judge"] = self.adversary.learn(real, fake)
        return {name: float(value.detach()) for name, value in losses.items()}

    def state(self) -> dict[str, Tensor]:
        """Weights and moments of both players."""
        return pack_state(self._modules, self._optimizers)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        unpack_state(self._modules, self._optimizers, tensors)


def reconstruction_losses(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """L1 of pixels and of their horizontal and vertical differences: the second is what keeps edges sharp."""
    error = fake - real
    across, down = error.diff(dim=3).abs().mean(), error.diff(dim=2).abs().mean()
    return {"l1": error.abs().mean(), "gradient": GRADIENT_WEIGHT * (across + down) / 2}
