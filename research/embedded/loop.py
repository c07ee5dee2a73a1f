"""The loop every stage runs in: resume, step, report, sample, checkpoint; a signal ends it between two steps."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from earthsynth_factory.errors import Interrupted
from earthsynth_factory.io.signals import stop_on_signals
from earthsynth_factory.training import checkpoint


class Stage(Protocol):
    """Something trained step by step. Everything random in `step` follows from the step's number."""

    name: str
    batch: int

    def step(self, number: int) -> dict[str, float]:
        """Trains one step and gives its losses."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All tensors that the next step depends on."""
        ...

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        ...

    def sample(self, path: Path) -> None:
        """Draws what the stage can do so far as a PNG."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a stage runs and how often it reports, all in steps; `minutes` is a wall limit that also ends it."""

    steps: int
    report: int = 20
    sample: int = 500
    save: int = 250
    minutes: float = math.inf


def train(stage: Stage, folder: Path, pace: Pace) -> int:
    """Runs `stage` to its end, going on from the newest checkpoint in `folder/checkpoints`; gives the steps done.

    Raises `Interrupted` after SIGINT or SIGTERM, with a checkpoint written.
    """
    found = checkpoint.latest(folder / "checkpoints")
    if found:
        stage.load(found.tensors)
    done, spent = (found.step, found.seconds) if found else (0, 0.0)
    log = _Log(stage, folder, pace, done, spent)
    with stop_on_signals() as stopped:
        while done < pace.steps and log.seconds() < pace.minutes * 60 and not stopped.is_set():
            losses = stage.step(done)
            done += 1
            log.add(done, losses)
            if done % pace.save == 0:
                checkpoint.save(folder / "checkpoints", checkpoint.Checkpoint(done, log.seconds(), stage.state()))
            if done % pace.sample == 0:
                stage.sample(folder / "samples" / f"{done:07d}.png")
    if done % pace.save:
        checkpoint.save(folder / "checkpoints", checkpoint.Checkpoint(done, log.seconds(), stage.state()))
    if stopped.is_set():
        raise Interrupted(f"{stage.name}: stopped at step {done} of {pace.steps}; the same command goes on from there")
    return done


def descend(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], loss: Tensor) -> None:
    """One clipped optimizer step."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


class _Log:
    """Progress on stderr, and scalars for tensorboard if it is installed."""

    def __init__(self, stage: Stage, folder: Path, pace: Pace, done: int, spent: float) -> None:
        self._stage, self._pace, self._first, self._spent = stage, pace, done, spent
        self._start = time.monotonic()
        self._mean: dict[str, float] = {}
        self._board = _board(folder / "logs")

    def seconds(self) -> float:
        """Seconds spent on the stage, earlier runs included."""
        return self._spent + time.monotonic() - self._start

    def add(self, done: int, losses: dict[str, float]) -> None:
        """Takes a step's losses into the running means; reports every `pace.report` steps."""
        for name, value in losses.items():
            self._mean[name] = 0.97 * self._mean.get(name, value) + 0.03 * value
        if done % self._pace.report and done != self._pace.steps:
            return
        rate = (done - self._first) / (time.monotonic() - self._start)
        left = min((self._pace.steps - done) / rate, self._pace.minutes * 60 - self.seconds())
        means = "  ".join(f"{name} {value:.4f}" for name, value in self._mean.items())
        samples = rate * self._stage.batch
        print(
            f"{self._stage.name} {done}/{self._pace.steps}  {samples:.1f} samples/s  {left / 60:.1f} min left  {means}",
            file=sys.stderr,
            flush=True,
        )
        if self._board:
            for name, value in self._mean.items():
                self._board.add_scalar(f"{self._stage.name}/{name}", value, done)


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    writer: Any = SummaryWriter
    return writer(str(folder))
