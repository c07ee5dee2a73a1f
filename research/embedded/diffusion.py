"""Stage 3: text encoder, UNet and ControlNet, jointly, by flow matching on cached latents.

Shapes: latents (B, C, s, s); control (B, 3, S, S) in [0, 1]; tokens (B, TOKENS).
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTokenizer

from earthsynth_factory.training import order
from earthsynth_factory.training.checkpoint import pack_optimizer, unpack_optimizer
from earthsynth_factory.training.schedule import warmup_cosine
from earthsynth_factory.training.symmetry import dihedral
from research.embedded import networks
from research.embedded.captions import captions
from research.embedded.crops import CropSet
from research.embedded.latents import LatentCache
from research.embedded.precision import autocast
from research.embedded.recipe import DiffusionSpec
from research.embedded.state import pack_modules, unpack_modules
from research.grids import paint, save_grid

WARMUP = 50
SAMPLE_STEPS = 12
SAMPLE_GUIDANCE = 2.0


class DiffusionStage:
    """`crops` and `cache` are of the same length; `held_out` gives masks for the sample grids."""

    name = "diffusion"

    def __init__(
        self,
        spec: DiffusionSpec,
        crops: CropSet,
        cache: LatentCache,
        held_out: CropSet,
        vae: AutoencoderKL,
        tokenizer: CLIPTokenizer,
        seed: int,
        device: torch.device,
    ) -> None:
        torch.manual_seed(seed)
        self.spec, self.seed, self.device, self.batch = spec, seed, device, spec.batch
        self.crops, self.cache, self.held_out, self.vae, self.tokenizer = crops, cache, held_out, vae, tokenizer
        unet = networks.build_unet(spec, cache.latents.shape[2], cache.latents.shape[3])
        text, control = networks.build_text(spec, tokenizer), networks.build_control(spec, unet)
        self.modules: dict[str, nn.Module] = {"text": text, "unet": unet, "control": control}
        for module in self.modules.values():
            module.to(device).to(memory_format=torch.channels_last).train()
        self.average = {name: copy.deepcopy(module).eval() for name, module in self.modules.items()}
        self.tokens = tokenise(tokenizer, captions(crops))
        self.empty = tokenise(tokenizer, [""])
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.parameters = parameters
        self.optimizer = torch.optim.AdamW(parameters, lr=spec.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    def step(self, number: int) -> dict[str, float]:
        """One step of joint training and of the moving average."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.lr * warmup_cosine(number, self.spec.steps, WARMUP)
        latents, control, tokens = self._batch(number)
        noise, sigma = self._noise(number, latents)
        target = noise - latents
        noisy = latents + sigma[:, None, None, None] * target
        with autocast(self.device):
            predicted = self._predict(noisy, sigma, control, tokens)
        loss = F.mse_loss(predicted.float(), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self._average(number)
        return {"loss": float(loss.detach())}

    def state(self) -> dict[str, Tensor]:
        """Weights, their average, and the optimizer's moments."""
        average = {f"average_{name}": module for name, module in self.average.items()}
        return pack_modules({**self.modules, **average}) | pack_optimizer("optimizer", self.optimizer)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        unpack_modules(self.modules, tensors)
        unpack_modules({f"average_{name}": module for name, module in self.average.items()}, tensors)
        unpack_optimizer("optimizer", self.optimizer, tensors)

    def sample(self, path: Path) -> None:
        """Held-out masks, what the averaged weights draw for them, and the real images: 14 columns, two bands."""
        picks = spread(self.held_out, 28)
        pipeline = networks.assemble(self.average, self.vae, self.tokenizer)
        shown = CropSet(*(getattr(self.held_out, key)[picks] for key in CropSet.__slots__))
        painted = paint(shown.masks)
        images = pipeline(
            prompt=captions(shown),
            image=networks.to_control(torch.from_numpy(painted)).to(self.device),
            num_inference_steps=SAMPLE_STEPS,
            guidance_scale=SAMPLE_GUIDANCE,
            generator=[torch.Generator().manual_seed(int(p)) for p in picks],
            output_type="np",
        ).images
        drawn = (images * 255).round().astype(np.uint8)
        save_grid(path, [[painted[half], drawn[half], shown.images[half]] for half in (np.s_[:14], np.s_[14:])])

    def _batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, control images and prompt tokens of one step; some prompts are emptied (for guidance)."""
        picks = order.batch(self.seed, number, len(self.crops), self.batch)
        random = order.rng(self.seed, "diffusion", number)
        variant = random.integers(0, self.cache.turns.shape[1], self.batch)
        latents = self.cache.latents[picks, variant].float()
        turns = self.cache.turns[picks, variant].tolist()
        masks = np.stack([dihedral(self.crops.masks[p], t) for p, t in zip(picks, turns, strict=True)])
        tokens = self.tokens[picks].clone()
        tokens[torch.from_numpy(random.random(self.batch) < self.spec.dropout)] = self.empty
        control = networks.to_control(torch.from_numpy(paint(masks)).to(self.device))
        return latents.to(self.device), control, tokens.to(self.device)

    def _noise(self, number: int, latents: Tensor) -> tuple[Tensor, Tensor]:
        """ε like the latents, and σ (B,) logit-normal: most training falls where layout is decided."""
        random = order.generator(self.seed, self.device, "noise", number)
        noise = torch.randn(latents.shape, generator=random, device=self.device)
        sigma = torch.randn(len(latents), generator=random, device=self.device).sigmoid()
        return noise, sigma

    def _predict(self, noisy: Tensor, sigma: Tensor, control: Tensor, tokens: Tensor) -> Tensor:
        words = self.modules["text"](tokens).last_hidden_state
        time = sigma * 1000
        down, middle = self.modules["control"](noisy, time, words, control, return_dict=False)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        out: Tensor = self.modules["unet"](noisy, time, words, **residuals, return_dict=False)[0]
        return out

    @torch.no_grad()
    def _average(self, number: int) -> None:
        """Moving average whose memory grows with the steps done, up to `ema`."""
        decay = min(self.spec.ema, (1 + number) / (10 + number))
        averaged: list[Tensor] = [p for name in self.modules for p in self.average[name].parameters()]
        torch._foreach_lerp_(averaged, list[Tensor](self.parameters), 1 - decay)


def tokenise(tokenizer: CLIPTokenizer, prompts: list[str]) -> Tensor:
    """Token ids int64 (N, TOKENS), padded as the pipeline pads."""
    ids = tokenizer(prompts, padding="max_length", max_length=networks.TOKENS, truncation=True, return_tensors="pt")
    tokens: Tensor = ids.input_ids
    return tokens


def spread(crops: CropSet, count: int) -> list[int]:
    """`count` indices that go round the categories, so that every one is shown."""
    by_category = [np.flatnonzero(crops.focus == c) for c in np.unique(crops.focus)]
    return [
        int(group[(3 * (n // len(by_category)) + 1) % len(group)])
        for n, group in zip(range(count), by_category * count, strict=False)
    ]
