"""Results come in the order of what was asked, from one process or several; whoever dies or is stopped."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from earthsynth_factory.engines.in_order import results_in_order
from earthsynth_factory.engines.local import LocalEngine
from earthsynth_factory.errors import FactoryError, InputError, Interrupted

ITEMS = 12


@dataclass(frozen=True)
class Squares:
    """The first items take longest. deadly: what kills its worker; bad: what raises; slow: seconds that each takes, but
    for the quick one.
    """

    deadly: int | None = None
    bad: int | None = None
    slow: float = 0.0
    quick: int | None = None

    def open(self, device: str) -> Callable[[int], tuple[int, int]]:
        def square(item: int) -> tuple[int, int]:
            if item == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            if item == self.bad:
                raise InputError(f"{item} on {device}")
            if item != self.quick:
                time.sleep(self.slow or (0.3 if item < 2 else 0.0))
            return item * item, os.getpid()

        return square


def run(
    task: Squares, workers: int, stop: threading.Event | None = None, take: Callable[[int], None] = lambda _: None
) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []

    def taken(result: tuple[int, int]) -> None:
        found.append(result)
        take(len(found))

    engine = LocalEngine.of("cpu", workers, ITEMS, "--workers")
    try:
        results_in_order(engine, task, range(ITEMS), taken, stop or threading.Event())
    except FactoryError as error:
        error.args = (str(error), [square for square, _ in found])
        raise
    return found


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order_whoever_is_first(workers: int) -> None:
    found = run(Squares(), workers)
    assert [square for square, _ in found] == [item * item for item in range(ITEMS)]
    processes = {process for _, process in found}
    assert processes == {os.getpid()} if workers == 1 else os.getpid() not in processes


def test_a_worker_that_dies_is_named_and_what_was_taken_is_a_beginning() -> None:
    with pytest.raises(Interrupted, match=r"died \(exit code -9; .* with fewer `--workers`") as caught:
        run(Squares(deadly=4), 2)
    assert caught.value.args[1] == [0, 1, 4, 9]


def test_what_a_worker_raises_is_raised() -> None:
    with pytest.raises(InputError, match="5 on cpu") as caught:
        run(Squares(bad=5), 2)
    assert caught.value.args[1] == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_keeps_what_is_in_the_making_and_no_more(workers: int) -> None:
    stop = threading.Event()
    found = run(Squares(slow=0.5), workers, stop, lambda count: stop.set() if count == 2 else None)
    assert [square for square, _ in found] == [item * item for item in range(len(found))]
    assert 2 <= len(found) <= 2 + 2 * workers


def test_an_interrupt_ends_workers_as_they_stand() -> None:
    """One is interrupted with its first result, while the other has 60 seconds to go."""

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(Squares(slow=60.0, quick=0), 2, take=interrupt)
    assert time.monotonic() - began < 50
