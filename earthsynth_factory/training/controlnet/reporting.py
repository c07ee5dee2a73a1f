"""Where a training's numbers go: the log that can be read back, trackers as far as they are installed, and the screen."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import orjson
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from earthsynth_factory.errors import first_line
from earthsynth_factory.io.atomic import disk_error, write_bytes
from earthsynth_factory.io.jsonl import open_to_append, whole_lines
from earthsynth_factory.io.log import console

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

LOG_SECONDS = 30
"""Where stderr is no terminal, a line is printed this often instead of a live bar."""

PROJECT = "earthsynth-factory"


class Log:
    """OUT/log.jsonl, a line a step, and OUT/choices.jsonl; lines that a resumed run will write again are dropped first."""

    def __init__(self, out: Path, step: int, leads: bool) -> None:
        self._paths = [out / "log.jsonl", out / "choices.jsonl"] if leads else []
        for path in self._paths:
            _cut(path, step)

    def __enter__(self) -> Log:
        self._files = [open_to_append(path) for path in self._paths]
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def write(self, step: int, numbers: Mapping[str, float], choices: Sequence[Any]) -> None:
        """A step's line. Numbers are written so that they read back to the last bit; NaN is null. Raises DiskError."""
        if not self._files:
            return
        try:
            self._files[0].write(orjson.dumps({"step": step, **numbers}) + b"\n")  # which writes NaN as null
            if choices:
                self._files[1].write(orjson.dumps({"step": step, "choices": choices}) + b"\n")
            for file in self._files:
                file.flush()
        except OSError as error:
            raise disk_error(self._paths[0], error) from error


def _cut(path: Path, step: int) -> None:
    """Keeps the lines up to and with `step`; a torn one goes too."""
    if not path.is_file():
        return
    kept = []
    for line in whole_lines(path):
        try:
            if orjson.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    write_bytes(path, b"".join(kept))


class Sink(Protocol):
    """Takes numbers of a step."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Numbers by name."""
        ...

    def close(self) -> None:
        """The run has ended."""
        ...


class TensorBoard:
    """tensorboard's event files in a folder."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        writer: Any = SummaryWriter
        self._writer = writer(str(folder / "tensorboard"))

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Sink`."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Sink`."""
        self._writer.close()


class Service:
    """wandb and trackio, which share their calls."""

    def __init__(self, library: str, name: str) -> None:
        self._library: Any = importlib.import_module(library)
        self._library.init(project=PROJECT, name=name)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Sink`."""
        self._library.log(dict(numbers), step=step)

    def close(self) -> None:
        """See `Sink`."""
        self._library.finish()


def open_trackers(names: Sequence[str], folder: Path, name: str) -> tuple[list[Sink], list[str]]:
    """The sinks that can be had, and a note for each that cannot."""
    sinks: list[Sink] = []
    notes = []
    for wanted in names:
        try:
            sinks.append(TensorBoard(folder) if wanted == "tensorboard" else Service(wanted, name))
        except Exception as error:  # a service that is down or wants a login must not cost a training
            absent = isinstance(error, ModuleNotFoundError) and error.name == wanted
            why = "is not installed" if absent else f"cannot be used ({first_line(error)})"
            notes.append(f"{wanted} {why}; its numbers are in log.jsonl all the same")
    return sinks, notes


class TrainingDisplay:
    """A bar for the preparations and one for the steps; silent if `shown` is False."""

    def __init__(self, steps: int, shown: bool) -> None:
        self._console = console(shown)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=not (shown and self._console.is_terminal),
            speed_estimate_period=120,
        )
        self._steps = steps
        self._tasks: dict[str, int] = {}
        self._next_line = 0.0

    def __enter__(self) -> TrainingDisplay:
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
        status = f"loss {loss:.4f}  {rate:.1f} samples/s  {memory()}"
        status += f"  waits {starved:.0%}" if starved > 0.02 else ""
        status += f"  {skipped} skipped" if skipped else ""
        self._show("steps", done, self._steps, status)

    def _show(self, what: str, done: int, total: int, status: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total, completed=done, status="")
        task = self._tasks[what]
        self._bar.update(task, completed=done, total=total, status=status)  # type: ignore[arg-type]  # a TaskID is an int
        shown = next(one for one in self._bar.tasks if one.id == task)
        elapsed = shown.elapsed or 0.0
        if not self._console.is_terminal and (elapsed >= self._next_line or done == total):
            self._next_line = elapsed + LOG_SECONDS
            left = f"  {shown.time_remaining / 60:.1f} min left" if shown.time_remaining else ""
            self.say(f"{what} {done}/{total}  {status}{left}".rstrip())


def memory() -> str:
    """Most memory that was in use: the GPU's, or this process's."""
    if torch.cuda.is_available():
        return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    if resource is None:
        return "memory unknown"
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.1f} GiB"
