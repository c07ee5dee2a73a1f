"""The loop of the generator's stages: each has seconds, not steps, so that the whole ends when it is to end."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from earthsynth_factory.errors import Interrupted
from earthsynth_factory.io.signals import stop_on_signals
from earthsynth_factory.training import checkpoint

REPORT_SECONDS = 10.0
SAVE_SECONDS = 600.0
WARMUP, FLOOR = 0.02, 0.01


class TimedStage(Protocol):
    """Something trained step by step until its time is over."""

    name: str
    batch: int

    def step(self, number: int, share: float) -> dict[str, Tensor]:
        """Trains one step, `share` in [0, 1) of the time being gone, and gives its losses without waiting for them."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All tensors that the next step depends on."""
        ...

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        ...


def train_for(stage: TimedStage, seconds: float, folder: Path) -> int:
    """Runs `stage` until `seconds` are spent, going on from the newest checkpoint in `folder`; gives the steps done.

    Raises `Interrupted` after SIGINT or SIGTERM, with a checkpoint written: the same call goes on.
    """
    found = checkpoint.latest(folder / "checkpoints")
    if found:
        stage.load(found.tensors)
    done, spent = (found.step, found.seconds) if found else (0, 0.0)
    log = _Log(stage.name, stage.batch, done, folder)
    start = saved = time.monotonic()
    with stop_on_signals() as stopped:
        while (gone := spent + time.monotonic() - start) < seconds and not stopped.is_set():
            log.add(done, gone, seconds, stage.step(done, gone / seconds))
            done += 1
            if time.monotonic() - saved > SAVE_SECONDS:
                checkpoint.save(folder / "checkpoints", checkpoint.Checkpoint(done, gone, stage.state()))
                saved = time.monotonic()
    if stopped.is_set():
        checkpoint.save(folder / "checkpoints", checkpoint.Checkpoint(done, gone, stage.state()))
        raise Interrupted(f"{stage.name}: stopped after {gone:.0f} of {seconds:.0f} s; the same command goes on")
    log.close(done, gone)
    return done


def rate(share: float) -> float:
    """Learning-rate factor at `share` of the time: a short linear rise, then half a cosine down to nearly nothing."""
    if share < WARMUP:
        return max(share / WARMUP, 0.02)
    gone = (share - WARMUP) / (1 - WARMUP)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, gone)))


class _Log:
    """A line every few seconds on stderr and in `log.jsonl`: only then are losses waited for."""

    def __init__(self, name: str, batch: int, first: int, folder: Path) -> None:
        self._name, self._batch, self._first, self._path = name, batch, first, folder / "log.jsonl"
        self._start = self._last = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, done: int, gone: float, seconds: float, losses: dict[str, Tensor]) -> None:
        now = time.monotonic()
        if now - self._last < REPORT_SECONDS and done != self._first:
            return
        self._last = now
        known = {name: round(float(value), 4) for name, value in losses.items()}
        pace = (done + 1 - self._first) / (time.monotonic() - self._start)
        words = "  ".join(f"{name} {value:g}" for name, value in known.items())
        print(
            f"{self._name} {gone:.0f}/{seconds:.0f} s  step {done + 1}  {pace * self._batch:.1f} samples/s  {words}",
            file=sys.stderr,
            flush=True,
        )
        self._write({"step": done + 1, "seconds": round(gone, 1), **known})

    def close(self, done: int, gone: float) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        late = time.monotonic() - self._start
        self._write({"end": done, "seconds": round(gone, 1), "batch": self._batch, "this_run": round(late, 1)})

    def _write(self, line: dict[str, float]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
