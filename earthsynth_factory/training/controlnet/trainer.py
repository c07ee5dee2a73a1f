"""The step: noise, predict, compare, update. Everything random in it follows from seed, position and rank."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from earthsynth_factory.domain.taxonomy import IGNORE
from earthsynth_factory.errors import InputError, first_line
from earthsynth_factory.models.device import out_of_memory
from earthsynth_factory.training import order
from earthsynth_factory.training.checkpoint import pack_optimizer, unpack_optimizer
from earthsynth_factory.training.controlnet.base_model import Base
from earthsynth_factory.training.controlnet.batches import Batch
from earthsynth_factory.training.controlnet.cache import LatentCache, PromptCache
from earthsynth_factory.training.controlnet.denoiser import Average, build_denoiser, compile_denoiser
from earthsynth_factory.training.controlnet.distributed import Team
from earthsynth_factory.training.controlnet.loader import Loader, ReadyBatch
from earthsynth_factory.training.controlnet.norm_bound import NormBound
from earthsynth_factory.training.controlnet.objective import Objective, cells, losses
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from earthsynth_factory.training.schedule import warmup_cosine

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False, slots=True)
class Inputs:
    """A pass on the device. latents, noise (B, C, h, w); levels, words (B, T, D), control (B, 3, S, S), inside and
    known (B, h, w).
    """

    latents: Tensor
    noise: Tensor
    levels: Tensor
    words: Tensor
    control: Tensor
    inside: Tensor
    known: Tensor

    def first(self, count: int) -> Inputs:
        """The first samples alone."""
        return Inputs(*(getattr(self, field.name)[:count] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did. fault: in words, why its gradient was not taken and nothing was changed; None if it was."""

    losses: dict[str, float]
    norm: float
    fault: str | None


class ControlNetTrainer:
    """Holds what learns, its average and its optimizer."""

    def __init__(
        self, recipe: ControlNetRecipe, base: Base, loader: Loader, caches: tuple[LatentCache, PromptCache],
        lut: Tensor, team: Team, dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self.recipe, self.loader, self.team, self.dtype = recipe, loader, team, dtype
        self.latents, self.prompts = caches
        self.lut = lut.to(team.device)
        self.objective = Objective(base.scheduler, team.device)
        self.denoiser = build_denoiser(base, recipe, team.device, dtype)
        self.learning = self.denoiser.learning()
        self.average = Average(self.learning, recipe.optim.ema)
        self.bound = NormBound(recipe.run.norm_bound)
        self.optimizer = torch.optim.AdamW(
            list(self.learning.values()),
            lr=recipe.optim.lr,
            betas=recipe.optim.betas,
            weight_decay=recipe.optim.weight_decay,
            fused=True,
        )
        on_gpu = team.device.type == "cuda"
        if on_gpu if recipe.run.compile is None else recipe.run.compile:
            compile_denoiser(self.denoiser)
        self.seen: list[Batch] = []
        """The batches of the last step's passes."""
        alone = team.world == 1
        self.network: Any = self.denoiser if alone else DistributedDataParallel(self.denoiser)

    @property
    def stride(self) -> int:
        """How far a step moves the position."""
        return self.loader.batches.stride * self.recipe.optim.accumulate

    def rate(self, number: int) -> float:
        """Learning rate of a step."""
        optim = self.recipe.optim
        if optim.schedule == "cosine":
            return optim.lr * warmup_cosine(number, optim.steps, optim.warmup)
        return optim.lr * min(1.0, (number + 1) / max(1, optim.warmup))

    def step(self, number: int, position: int) -> StepResult:
        """Step `number` (from 0), whose first pass starts at `position`. Raises InputError if memory does not do."""
        torch.manual_seed(order.derive(self.recipe.seed, "step", number, self.team.rank))  # for layers with dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(number)
        self.optimizer.zero_grad(set_to_none=True)
        passes = self.recipe.optim.accumulate
        sums: dict[str, Tensor] = {}
        self.seen = []
        for place in range(passes):
            prepared = self._prepared(position + place * self.loader.batches.stride)
            self.seen.append(prepared.batch)
            with self._gathers(last=place == passes - 1):
                for name, value in self._descend(prepared).items():
                    sums[name] = sums.get(name, torch.zeros_like(value)) + value / passes
        norm = float(nn.utils.clip_grad_norm_(list(self.learning.values()), self.recipe.optim.clip))
        fault = self.bound.fault(norm)
        if fault is None:
            self.optimizer.step()
            self.average.update(self.learning, number)
        return StepResult({name: float(value) for name, value in sums.items()}, norm, fault)

    def inputs(self, prepared: ReadyBatch) -> Inputs:
        """The pass on the device: latents of composed images are encoded here, those of real ones are cached."""
        device, batch = self.team.device, prepared.batch
        moments = prepared.moments.to(device, torch.float32)
        if len(batch.images):
            made = self.latents.encoder.encode(torch.from_numpy(batch.images))
            moments = torch.cat([moments, made.half().float()])
        mean, deviation = moments.chunk(2, dim=1)
        # Drawn on the CPU, so that the noise is the same on every device.
        random = order.generator(self.recipe.seed, CPU, "noise", prepared.position, self.team.rank)
        spread, noise = (torch.randn(mean.shape, generator=random).to(device) for _ in range(2))
        return Inputs(
            latents=mean + deviation * spread,
            noise=noise,
            levels=self.objective.draw(len(batch), random).to(device),
            words=self.prompts(batch.prompts),
            control=self.control(batch.masks, batch.guided),
            inside=cells(torch.from_numpy(batch.local).to(device), mean.shape[-1]),
            known=cells(torch.from_numpy(batch.masks != IGNORE).to(device), mean.shape[-1]),
        )

    def control(self, masks: np.ndarray[Any, Any], guided: np.ndarray[Any, Any]) -> Tensor:
        """Control images (B, 3, S, S) in [0, 1] of masks uint8 (B, S, S); zeros if not guided."""
        ids = torch.from_numpy(masks).to(self.team.device).long()
        kept = torch.from_numpy(guided).to(self.team.device)
        images = self.lut[ids] * kept[:, None, None, None]
        return images.permute(0, 3, 1, 2)  # channels last as it comes

    def predict(self, inputs: Inputs, network: Any) -> tuple[Tensor, Tensor]:
        """Prediction and target (B, C, h, w)."""
        noisy = self.objective.noisy(inputs.latents, inputs.noise, inputs.levels)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            predicted = network(noisy, self.objective.times(inputs.levels), inputs.words, inputs.control)
        return predicted, self.objective.target(inputs.latents, inputs.noise, inputs.levels)

    def autocast(self) -> AbstractContextManager[object]:
        """Computing in `dtype`."""
        return nullcontext() if self.dtype is torch.float32 else torch.autocast(self.team.device.type, self.dtype)

    def state(self) -> dict[str, Tensor]:
        """All tensors that the next step depends on."""
        trained = {f"trained.{name}": value.detach() for name, value in self.learning.items()}
        averaged = {f"average.{name}": value for name, value in self.average.values.items()}
        return trained | averaged | pack_optimizer("optimizer", self.optimizer) | {"norms": self.bound.state()}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`. Raises InputError if the checkpoint is of another shape."""
        try:
            for name, parameter in self.learning.items():
                parameter.copy_(tensors[f"trained.{name}"])
            for name, average in self.average.values.items():
                average.copy_(tensors[f"average.{name}"])
            unpack_optimizer("optimizer", self.optimizer, tensors)
            self.bound.load(tensors.get("norms", self.bound.state()))
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(f"the checkpoint is of another model ({error}); choose another --out") from error

    def _prepared(self, position: int) -> ReadyBatch:
        try:
            return self.loader.get(position)
        except MemoryError as error:
            batch = self.recipe.optim.batch
            raise InputError(f"out of memory making a batch of {batch} ready ({error}); lower optim.batch") from error

    def _descend(self, prepared: ReadyBatch) -> dict[str, Tensor]:
        try:
            inputs = self.inputs(prepared)
            return self._backward(inputs, self.network)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            reason = first_line(error)
        raise InputError(self._what_fits(prepared, reason))

    def _backward(self, inputs: Inputs, network: Any) -> dict[str, Tensor]:
        predicted, target = self.predict(inputs, network)
        weights = self.objective.weights(inputs.levels, self.recipe.loss.min_snr)
        found = losses(predicted, target, inputs.inside, inputs.known, weights, self.recipe.loss.local)
        (found["loss"] / self.recipe.optim.accumulate).backward()  # type: ignore[no-untyped-call]
        return {name: value.detach() for name, value in found.items()}

    def _gathers(self, last: bool) -> AbstractContextManager[object]:
        """Gradients are averaged over processes in a step's last pass only."""
        return nullcontext() if last or self.team.world == 1 else self.network.no_sync()

    def _what_fits(self, prepared: ReadyBatch, reason: str) -> str:
        """After memory ran out: the largest batch whose pass was tried and fits, in words."""
        optim = self.recipe.optim
        message = (
            f"{self.team.device}: out of memory with optim.batch {optim.batch} at {self.recipe.size} px ({reason}); "
        )
        for count in halves(optim.batch):
            if self._fits(prepared, count):
                accumulate = optim.accumulate * -(-optim.batch // count)
                return f"{message}a pass of {count} fits: set optim.batch: {count} and optim.accumulate: {accumulate}"
        wider = "" if optim.checkpointing else "set optim.checkpointing: true, or "
        return f"{message}not even one sample fits: {wider}lower size"

    def _fits(self, prepared: ReadyBatch, count: int) -> bool:
        self.optimizer.zero_grad(set_to_none=True)
        if self.team.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            self._backward(self.inputs(prepared).first(count), self.denoiser)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return False
        return True


def halves(count: int) -> Iterator[int]:
    """count/2, count/4, … 1."""
    while count > 1:
        count //= 2
        yield count
