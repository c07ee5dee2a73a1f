"""Measuring within a given time: what no longer fits is left out and said, what fails is said, and the rest goes on."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

AGAIN = 3.0
"""Seconds after which an alarm that was not heard rings again."""


class OutOfTimeError(Exception):
    """The budget ended while something was measured."""


class Budget:
    """Seconds from now on. `notes`: what was left out or failed, by name."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self.notes: dict[str, str] = {}
        self.took: dict[str, float] = {}

    def left(self) -> float:
        """Seconds that remain."""
        return self._ends - time.monotonic()

    def attempt(self, name: str, needs: float, measure: Callable[[], Any]) -> Any:
        """What `measure` returns; None if `needs` seconds are not left, or it fails, or it is cut off at the end."""
        if self.left() < needs:
            self.notes[name] = f"left out: needs about {needs:.0f} s, {max(0, self.left()):.0f} s were left"
            return None
        started = time.monotonic()
        try:
            with _alarm(self.left()):
                return measure()
        except Exception as error:  # one failure is a line of the table, not the end of it
            self.notes[name] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
            traceback.print_exc()
            return None
        finally:
            self.took[name] = round(time.monotonic() - started, 1)
            print(f"[{self.took[name]:6.1f} s] {name}; {self.left():.0f} s left", flush=True)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Rings until the block is left: what is raised in a callback of the collector or of the compiler may be swallowed."""

    def ring(number: int, frame: object) -> None:
        raise OutOfTimeError("cut off: the time given was used up")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(0.1, seconds), AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def age() -> float:
    """Seconds since this process began, imports included; 0 if the kernel does not tell."""
    try:
        begun = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - begun
    except (OSError, ValueError):
        return 0.0


def settle(device: torch.device) -> None:
    """Waits until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Wall-clock time of `work`, the device's own work included."""
    settle(device)
    started = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - started


def steps_rate(steps: Iterator[object], count: int, warm: int, device: torch.device) -> float:
    """Steps a second over `count` steps, after `warm` others."""
    for _ in range(warm):
        next(steps)
    return count / seconds(device, lambda: [next(steps) for _ in range(count)])


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int = 8192) -> float:
    """FLOP a second that this device makes in large matrix products of random numbers."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    return 20 * 2 * side**3 / seconds(device, lambda: [a @ b for _ in range(20)])


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], float | None]]:
    """Gigabytes allocated at the most since the block began; None off a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield lambda: torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
