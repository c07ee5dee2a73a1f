"""The flow's networks and the decoder made to draw in a few steps, without guidance: distillation with an adversary.

First the flow draws images for many masks, slowly and guided. Then the same networks learn, from the same noise, to arrive
near the same image in a few steps, all of them and the decoder in one chain of gradients; the heads on a teacher's maps,
which see the mask as well, push what they make towards real images. The noise keeps the images of one mask apart. (Pairs
of noise and image, a perceptual distance and an adversary: as in Diffusion2GAN, arXiv 2405.05967. The rest is ours.)
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from earthsynth_factory.training import order
from research.embedded.adversary import Judges, Shown
from research.embedded.average import Average
from research.embedded.decoder import VERDICT, Encoder, decoding_part, descend_along
from research.embedded.denoise import Conditions, draw, draw_guided
from research.embedded.pool import Pool
from research.embedded.precision import autocast
from research.embedded.recipe import FewStepsSpec
from research.embedded.state import pack_state, unpack_state
from research.embedded.timed import rate

COPIED = 3
"""One in this many images of a step is a real one through encoder and decoder: the autoencoder stays one."""

DECODED = 128
"""Latents that are decoded at a time."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """noise float16 (N, C, s, s); images uint8 (N, 3, S, S) that the flow drew from it; their masks and tokens."""

    noise: Tensor
    images: Tensor
    masks: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.noise)


@torch.no_grad()
def draw_pairs(
    modules: dict[str, nn.Module], vae: AutoencoderKL, pool: Pool, spec: FewStepsSpec, shape: tuple[int, ...], seed: int
) -> Pairs:
    """As many as the time allows, `spec.pairs` at most and one batch at least; `shape` (C, s, s) is the latents'."""
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    start = time.monotonic()
    while not parts or (len(parts) * spec.pair_batch < spec.pairs and time.monotonic() - start < spec.pair_seconds):
        random = order.generator(seed, pool.device, "pairs", len(parts))
        batch = pool.batch(spec.pair_batch, random)
        noise = torch.randn(len(batch.masks), *shape, generator=random, device=pool.device)
        what = Conditions(pool.control(batch.masks), batch.tokens)
        nothing = Conditions(torch.zeros_like(what.control), pool.empty.expand_as(batch.tokens))
        latents = draw_guided(modules, noise, what, nothing, spec.pair_steps, spec.guidance)
        images = torch.cat([_pixels(vae, latents[at : at + DECODED]) for at in range(0, len(latents), DECODED)])
        parts.append((noise.half(), images, batch.masks, batch.tokens))
    return Pairs(*(torch.cat(column) for column in zip(*parts, strict=True)))


class FewStepsStage:
    """Trains `modules` and the decoder of `vae`; `average` holds them smoothed."""

    name = "few_steps"

    def __init__(
        self,
        spec: FewStepsSpec,
        pool: Pool,
        pairs: Pairs,
        modules: dict[str, nn.Module],
        vae: AutoencoderKL,
        judges: Judges,
        seed: int,
    ) -> None:
        self.spec, self.batch, self.seed, self.device = spec, spec.batch, seed, pool.device
        self.pool, self.pairs, self.vae, self.judges = pool, pairs, vae, judges
        self.drawing = {name: module.train().requires_grad_(True) for name, module in modules.items()}
        self.modules = {**self.drawing, **decoding_part(vae)}
        self.encode = Encoder(vae, self.device)
        self.average = Average(self.modules, spec.ema)
        self.parameters = [weight for module in self.modules.values() for weight in module.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=spec.lr, betas=(0.0, 0.99))

    def step(self, number: int, share: float) -> dict[str, Tensor]:
        """One turn of generator and heads."""
        random = order.generator(self.seed, self.device, "few steps", number)
        picks = torch.randint(len(self.pairs), (self.batch,), generator=random, device=self.device)
        real = self.pool.batch(self.batch, random)
        copied = self.batch // COPIED
        what = Conditions(self.pool.control(self.pairs.masks[picks]), self.pairs.tokens[picks])
        latents = draw(self.drawing, self.pairs.noise[picks].float(), what, self.spec.steps)
        with autocast(self.device):
            made = self.vae.decode(torch.cat([latents, self.encode(real.images[:copied])])).sample
        masks = torch.cat([self.pairs.masks[picks], real.masks[:copied]])
        wanted = torch.cat([self.pairs.images[picks].float() / 127.5 - 1, real.images[:copied]])
        weight = torch.full((len(masks),), self.spec.adversary_weight, device=self.device)
        weight[self.batch :] = VERDICT
        shown, true = Shown(made.float(), masks), Shown(real.images, real.masks)
        gradient, losses = self.judges.turn(shown, wanted, weight, true, random, rate(share))
        descend_along(self.optimizer, self.parameters, made, gradient, self.spec.lr * rate(share))
        self.average.follow(number)
        return losses

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


def _pixels(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    with autocast(latents.device):
        images = vae.decode(latents).sample
    pixels: Tensor = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels
