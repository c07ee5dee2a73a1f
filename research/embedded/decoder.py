"""The decoder, on the latents of a fixed encoder: like the images it is given, and not to be told from real ones.

Shapes: images (B, 3, S, S) in [-1, 1]; latents (B, C, S/8, S/8).
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from earthsynth_factory.training import order
from research.embedded.adversary import Judges, Shown
from research.embedded.average import Average
from research.embedded.pca import projection
from research.embedded.pool import Pool
from research.embedded.precision import autocast
from research.embedded.recipe import DecoderSpec
from research.embedded.state import pack_state, unpack_state
from research.embedded.timed import rate

VERDICT = 0.75
"""Weight of the verdict beside the likeness."""

NOISE = 0.15
"""Most noise on a latent: a denoiser's are never clean."""

EMA = 0.999


class Encoder:
    """The autoencoder's encoder as the one convolution that it is."""

    def __init__(self, vae: AutoencoderKL, device: torch.device) -> None:
        self._weight, self._bias = (part.to(device) for part in projection(vae))

    def __call__(self, images: Tensor) -> Tensor:
        """Latents of images."""
        return F.conv2d(images, self._weight, self._bias, stride=self._weight.shape[-1])


class DecoderStage:
    """Trains `vae.decoder` and `vae.post_quant_conv`; `average` holds them smoothed."""

    name = "decoder"

    def __init__(
        self, spec: DecoderSpec, pool: Pool, vae: AutoencoderKL, judges: Judges, seed: int, device: torch.device
    ) -> None:
        self.spec, self.batch, self.seed, self.device = spec, spec.batch, seed, device
        self.pool, self.vae, self.judges = pool, vae, judges
        self.encode = Encoder(vae, device)
        self.modules = decoding_part(vae.to(device, memory_format=torch.channels_last))
        self.average = Average(self.modules, EMA)
        self.parameters = [weight for module in self.modules.values() for weight in module.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=spec.lr, betas=(0.5, 0.99))

    def step(self, number: int, share: float) -> dict[str, Tensor]:
        """One turn of decoder and heads."""
        random = order.generator(self.seed, self.device, "decoder", number)
        real = self.pool.batch(self.batch, random)
        latents = self.encode(real.images)
        loud = NOISE * torch.rand(len(latents), 1, 1, 1, generator=random, device=self.device)
        latents = latents + loud * torch.randn(latents.shape, generator=random, device=self.device)
        with autocast(self.device):
            made = self.vae.decode(latents).sample
        shown, weight = Shown(made.float(), real.masks), torch.full((self.batch,), VERDICT, device=self.device)
        gradient, losses = self.judges.turn(shown, real.images, weight, None, random, rate(share))
        descend_along(self.optimizer, self.parameters, made, gradient, self.spec.lr * rate(share))
        self.average.follow(number)
        return losses | {"l1": (made.detach() - real.images).abs().mean()}

    def state(self) -> dict[str, Tensor]:
        """Weights, their average and moments of both players."""
        return pack_state(*self._parts())

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        unpack_state(*self._parts(), tensors)

    def _parts(self) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
        averages = {f"average_{name}": module for name, module in self.average.modules.items()}
        adversary = self.judges.adversary
        optimizers: dict[str, torch.optim.Optimizer] = {
            "optimizer": self.optimizer,
            "adversary_optimizer": adversary.optimizer,
        }
        return {**self.modules, **averages, "heads": adversary.heads}, optimizers


def decoding_part(vae: AutoencoderKL) -> dict[str, nn.Module]:
    """What of an autoencoder is behind the latent."""
    return {"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv}


def descend_along(
    optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], made: Tensor, gradient: Tensor, lr: float
) -> None:
    """One clipped optimizer step that moves what was made against `gradient`."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    made.backward(gradient.to(made.dtype))  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
