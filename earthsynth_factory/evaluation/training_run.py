"""One run from first weights to what it sees in val and test: equal steps in every arm, and a count of what was shown."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.errors import FactoryError
from earthsynth_factory.evaluation.draws import draws
from earthsynth_factory.evaluation.members import HELD_OUT, TRAIN
from earthsynth_factory.evaluation.networks import TaskNetwork, open_network
from earthsynth_factory.evaluation.outcomes import outcome_of
from earthsynth_factory.evaluation.plan import Run, material
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.spec import Budget, NetworkSpec, Task
from earthsynth_factory.evaluation.views import seen
from earthsynth_factory.models.device import pick_device

WARMUP = 0.05
"""Share of the steps over which the learning rate rises; it falls by a cosine after."""
WEIGHT_DECAY, MOST_GRADIENT = 1e-2, 1.0
LOOKED = 16
"""Held-out images at a time."""
TAIL = 0.1
"""Share of the last steps whose mean loss is told."""

Step = Callable[[int], None]


@dataclass(frozen=True)
class Settings:
    """What all runs share."""

    task: Task
    budget: Budget
    model: NetworkSpec
    seed: int
    device: str


def train_run(pool: Pool, settings: Settings, run: Run, on_step: Step = lambda _: None) -> dict[str, Any]:
    """The record of a run: outcomes of val and test image by image, what was shown, losses, seconds.

    A CPU gives the same record whenever the run is made, whatever runs beside it: one thread does it all.
    """
    started = time.monotonic()
    device = pick_device(settings.device)
    trainer = _Trainer(pool, settings, run, device)
    losses = [trainer.step(number, on_step) for number in range(settings.budget.steps)]
    network = trainer.network.eval()
    outcomes = {part: outcomes_of(pool, network, part, settings.task, device) for part in HELD_OUT}
    return {
        "run": {"arm": run.arm, "share": run.share, "dose": run.dose, "seed": run.seed},
        "shown": trainer.account(),
        "loss": {"first": losses[0], "last": _tail(losses)},
        "diverged": not all(map(math.isfinite, losses)) or _tail(losses) >= losses[0],
        "outcomes": outcomes,
        "seconds": round(time.monotonic() - started, 2),
    }


class _Trainer:
    """A network, its optimiser, and the order of its images."""

    def __init__(self, pool: Pool, settings: Settings, run: Run, device: torch.device) -> None:
        budget = settings.budget
        self._pool, self._run, self._budget, self._device = pool, run, budget, device
        self._material = material(pool, run, settings.seed)
        self._draws = draws(pool, run, self._material, settings.seed, budget.steps, budget.batch)
        self._seed = derive(settings.seed, "run", run.seed)
        self.network = open_network(settings.task, settings.model, pool.classes.count, pool.side, self._seed)
        self.network.to(device).to(memory_format=torch.channels_last)
        self._weights = [one for one in self.network.parameters() if one.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=budget.lr, weight_decay=WEIGHT_DECAY)
        self._shown = Counter[tuple[str, str]]()
        self.network.train()

    def step(self, number: int, on_step: Step) -> float:
        """One optimiser step; gives the loss. Once a loss is no number, the weights are left as they are."""
        places = self._draws[number]
        batch = seen(self._pool, self._run, places, self._material.real, self._seed, number)
        self._count(places)
        for group in self._optimizer.param_groups:
            group["lr"] = self._budget.lr * learning_rate(number, self._budget.steps)
        loss = self.network.loss(batch, self._device)
        if torch.isfinite(loss):
            self._descend(loss)
        on_step(number)
        return float(loss.detach())

    def _descend(self, loss: torch.Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._weights, MOST_GRADIENT)
            self._optimizer.step()

    def _count(self, places: Sequence[int]) -> None:
        self._shown.update((self._pool.parts[place], self._pool.names[place]) for place in places)

    def account(self) -> dict[str, Any]:
        """By part: different images shown, and how often in all. Raises FactoryError if the arm did not see its images."""
        shown = {}
        for part in {part for part, _ in self._shown}:
            counts = [count for (owner, _), count in self._shown.items() if owner == part]
            shown[part] = {"images": len(counts), "draws": sum(counts)}
        wanted = {TRAIN} if len(self._material.real) else set()
        wanted |= {self._pool.parts[place] for place in self._material.made[:1]}
        if set(shown) != wanted:
            raise FactoryError(f"run {self._run.name} was shown {sorted(shown)} and was to be shown {sorted(wanted)}")
        return shown


@torch.inference_mode()
def outcomes_of(pool: Pool, network: TaskNetwork, part: str, task: Task, device: torch.device) -> list[Any]:
    """The outcome of every image of a part, in the pool's order."""
    places = pool.of(part)
    found: list[Any] = []
    for first in range(0, len(places), LOOKED):
        block = places[first : first + LOOKED]
        views = network.look(np.asarray(pool.images[block]), device)
        found += [outcome_of(task, pool, int(place), view) for place, view in zip(block, views, strict=True)]
    return found


def learning_rate(step: int, steps: int) -> float:
    """The factor of the learning rate."""
    warm = max(1, round(WARMUP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _tail(losses: Sequence[float]) -> float:
    return float(np.mean(losses[-max(1, round(TAIL * len(losses))) :]))
