"""The contract between an engine and what it runs."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Protocol

Report = Callable[[Any], None]
"""Called with whatever a task has to tell; the engine carries it to the caller's process and thread."""


class NumberedTask(Protocol):
    """Work that comes in numbered items. Must be picklable; `open` is called once in each worker."""

    def open(self, device: str, report: Report) -> Callable[[int, threading.Event], None]:
        """Make ready on a device; the answer does one item, and returns early once the event is set."""


class Engine(ABC):
    """Runs a task's items. Items are independent; which worker does which is the engine's own affair."""

    @abstractmethod
    def run(self, task: NumberedTask, items: Iterable[int], report: Report, stop: threading.Event) -> None:
        """Do all items, or until `stop` is set; the next is asked for when a worker is free.

        Raises what a task raises; items not done can be run again.
        """
