"""Text encoder, UNet and ControlNet from nothing, together, by flow matching on the encoder's latents.

Shapes: latents (B, C, s, s); σ (B,) in (0, 1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from earthsynth_factory.training import order
from research.embedded.average import Average
from research.embedded.decoder import Encoder
from research.embedded.denoise import predict, read
from research.embedded.pool import Pool
from research.embedded.recipe import FlowSpec
from research.embedded.state import pack_state, unpack_state
from research.embedded.timed import rate

EVEN = 0.25
"""Share of noise levels that are drawn evenly; the others are logit-normal, in the middle, where layout is decided."""


class FlowStage:
    """Trains `modules` (text, unet, control); `average` holds them smoothed."""

    name = "flow"

    def __init__(
        self,
        spec: FlowSpec,
        pool: Pool,
        encode: Encoder,
        modules: dict[str, nn.Module],
        seed: int,
        device: torch.device,
    ) -> None:
        self.spec, self.batch, self.seed, self.device = spec, spec.batch, seed, device
        self.pool, self.encode = pool, encode
        self.modules = {name: module.to(device).train() for name, module in modules.items()}
        for module in self.modules.values():
            module.to(memory_format=torch.channels_last)
        self.average = Average(self.modules, spec.ema)
        self.parameters = [weight for module in self.modules.values() for weight in module.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=spec.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )

    def step(self, number: int, share: float) -> dict[str, Tensor]:
        """One step of joint training and of the moving average."""
        random = order.generator(self.seed, self.device, "flow", number)
        batch = self.pool.batch(self.batch, random)
        latents, control = self.encode(batch.images), self.pool.control(batch.masks)
        blind = torch.rand(self.batch, generator=random, device=self.device) < self.spec.dropout
        control = control * (~blind)[:, None, None, None]
        tokens = torch.where(blind[:, None], self.pool.empty, batch.tokens)
        noise = torch.randn(latents.shape, generator=random, device=self.device)
        sigma = self._sigma(random)
        target = noise - latents
        noisy = latents + sigma[:, None, None, None] * target
        predicted = predict(self.modules, noisy, sigma * 1000, read(self.modules, tokens), control)
        loss = F.mse_loss(predicted, target)
        self._descend(loss, self.spec.lr * rate(share))
        self.average.follow(number)
        return {"loss": loss.detach()}

    def state(self) -> dict[str, Tensor]:
        """Weights, their average, and the optimizer's moments."""
        return pack_state(*self._parts())

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        unpack_state(*self._parts(), tensors)

    def _parts(self) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
        averages = {f"average_{name}": module for name, module in self.average.modules.items()}
        return {**self.modules, **averages}, {"optimizer": self.optimizer}

    def _sigma(self, random: torch.Generator) -> Tensor:
        middle = torch.randn(self.batch, generator=random, device=self.device).sigmoid()
        even = torch.rand(self.batch, generator=random, device=self.device)
        return torch.where(torch.rand(self.batch, generator=random, device=self.device) < EVEN, even, middle)

    def _descend(self, loss: Tensor, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
