"""What is seen of a training, on stderr: loss, rate, memory, time left."""

from __future__ import annotations

import sys
from types import TracebackType

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from earthsynth_factory.io.log import console

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

LOG_SECONDS = 30
"""Where stderr is no terminal, a line is printed this often instead of a live bar."""


class TrainProgress:
    """A bar for the preparations and one for the steps; silent where `shown` is False."""

    def __init__(self, steps: int, shown: bool) -> None:
        self._console = console(shown)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=not (shown and self._console.is_terminal),
            speed_estimate_period=120,
        )
        self._steps = steps
        self._tasks: dict[str, int] = {}
        self._next_line = 0.0

    def __enter__(self) -> TrainProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line of its own."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def prepare(self, what: str, done: int, total: int) -> None:
        """The preparations have come this far."""
        self._show(what, done, total, "")

    def step(self, done: int, loss: float, rate: float, skipped: int, starved: float) -> None:
        """A step is done. rate: samples a second; starved: share of the time that was spent waiting for data."""
        told = f"loss {loss:.4f}  {rate:.1f} samples/s  {memory()}"
        told += f"  waits {starved:.0%}" if starved > 0.02 else ""
        told += f"  {skipped} skipped" if skipped else ""
        self._show("steps", done, self._steps, told)

    def _show(self, what: str, done: int, total: int, told: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total, completed=done, told="")
        task = self._tasks[what]
        self._bar.update(task, completed=done, total=total, told=told)  # type: ignore[arg-type]  # a TaskID is an int
        shown = next(one for one in self._bar.tasks if one.id == task)
        elapsed = shown.elapsed or 0.0
        if not self._console.is_terminal and (elapsed >= self._next_line or done == total):
            self._next_line = elapsed + LOG_SECONDS
            left = f"  {shown.time_remaining / 60:.1f} min left" if shown.time_remaining else ""
            self.say(f"{what} {done}/{total}  {told}{left}".rstrip())


def memory() -> str:
    """Most memory that was in use: the GPU's, or this process's."""
    if torch.cuda.is_available():
        return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    if resource is None:
        return "memory unknown"
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.1f} GiB"
