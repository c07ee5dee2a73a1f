"""Results of workers, taken in the order of what was asked: what is written of them is the same however many there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from earthsynth_factory.engines.base import Engine, Item, Report

Result = TypeVar("Result", covariant=True)


class ResultTask(Protocol[Item, Result]):
    """Work that gives a result for every item. Must be picklable, as items and results are."""

    def open(self, device: str) -> Callable[[Item], Result]:
        """Make ready on a device, once in each worker; the answer does one item."""


def results_in_order(
    engine: Engine,
    task: ResultTask[Item, Result],
    items: Iterable[Item],
    take: Callable[[Result], None],
    stop: threading.Event,
) -> None:
    """Do all items, or until `stop` is set; `take` is called with every result in the items' order, in the caller's thread.

    A result that comes before its turn waits in memory. If a worker fails, those behind its item are lost: what was taken is
    always a beginning of the whole. Raises what a task raises.
    """
    waiting: dict[int, Any] = {}
    turn = 0

    def report(told: tuple[int, Any]) -> None:
        nonlocal turn
        waiting[told[0]] = told[1]
        while turn in waiting:
            take(waiting.pop(turn))
            turn += 1

    engine.run(_Numbered(task), enumerate(items), report, stop)


@dataclass(frozen=True)
class _Numbered(Generic[Item, Result]):
    """The task as engines have it: an item comes with its number, and its result is told with it."""

    task: ResultTask[Item, Result]

    def open(self, device: str, report: Report) -> Callable[[tuple[int, Item], threading.Event], bool]:
        work = self.task.open(device)

        def tell(numbered: tuple[int, Item], _stop: threading.Event) -> bool:
            number, item = numbered
            report((number, work(item)))
            return True

        return tell
