"""Where numbers go beside the log: tensorboard, wandb, trackio, as far as they are installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from earthsynth_factory.errors import first_line

PROJECT = "earthsynth-factory"


class Sink(Protocol):
    """Takes numbers of a step."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Numbers by name."""
        ...

    def close(self) -> None:
        """The run has ended."""
        ...


class Board:
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
            sinks.append(Board(folder) if wanted == "tensorboard" else Service(wanted, name))
        except Exception as error:  # a service that is down or wants a login must not cost a training
            absent = isinstance(error, ModuleNotFoundError) and error.name == wanted
            why = "is not installed" if absent else f"cannot be used ({first_line(error)})"
            notes.append(f"{wanted} {why}; its numbers are in log.jsonl all the same")
    return sinks, notes
