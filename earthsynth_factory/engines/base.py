"""The contract between an engine and what it runs."""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from earthsynth_factory.errors import FactoryError

Item = TypeVar("Item", contravariant=True)
"""What a task is given to do, one after the other: picklable, and hashable on a cluster, where they are told apart by it."""

Report = Callable[[Any], None]
"""Called with whatever a task has to tell; the engine carries it to the caller's process and thread."""


@dataclass(frozen=True, slots=True)
class AtNode:
    """What a task told on a machine of a cluster. node: the machine's name. told: as the task gave it to its `Report`."""

    node: str
    told: Any


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence of the engine's own for the person at the terminal."""

    text: str


class EngineTask(Protocol[Item]):
    """Work that comes in items. Must be picklable; `open` is called once in each worker."""

    def open(self, device: str, report: Report) -> Callable[[Item, threading.Event], bool]:
        """Make ready on a device; the answer does one item, and returns early once the event is set.

        It says whether the item is done: not if somebody outside this engine is at it.
        """


class Engine(ABC):
    """Runs a task's items. Items are independent; which worker does which is the engine's own affair."""

    @property
    @abstractmethod
    def workers(self) -> int | None:
        """How many work side by side; None for as many as a cluster has room for."""

    @abstractmethod
    def run(self, task: EngineTask[Item], items: Iterable[Item], report: Report, stop: threading.Event) -> None:
        """Do all items, or until `stop` is set; the next is asked for when a worker is free.

        Raises what a task raises; items not done can be run again.
        """


def failure(error: Exception) -> FactoryError:
    """What a worker's error is to the process that runs the engine: a defect of ours comes with its traceback."""
    if isinstance(error, FactoryError):
        return error
    return FactoryError(f"a worker failed: {error}\n{traceback.format_exc()}")
