"""The engine of one machine: this process, or several, one device each."""

from __future__ import annotations

import multiprocessing as mp
import queue
import signal
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from earthsynth_factory.errors import FactoryError, Interrupted
from earthsynth_factory.run.engines.base import Engine, Report, Task

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LocalEngine(Engine):
    """One worker for each entry of `devices`; with a single one everything happens in this process."""

    devices: Sequence[str]

    def run(self, task: Task, items: Sequence[int], report: Report, stop: threading.Event) -> None:
        if len(self.devices) == 1:
            work = task.open(self.devices[0], report)
            for item in items:
                if stop.is_set():
                    return
                work(item, stop)
        else:
            _Processes(task, items, report, stop).run(self.devices)


class _Processes:
    """Several processes that take items from one queue and tell what happens through another."""

    def __init__(self, task: Task, items: Sequence[int], report: Report, stop: threading.Event) -> None:
        # Fresh interpreters: forking a process that has threads or a CUDA context can hang.
        context = mp.get_context("spawn")
        self._context = context
        self._task = task
        self._report = report
        self._stop = stop
        self._items: mp.Queue[int | None] = context.Queue()
        self._told: mp.Queue[tuple[str, Any]] = context.Queue()
        self._halt = context.Event()
        self._wanted = items

    def run(self, devices: Sequence[str]) -> None:
        for item in [*self._wanted, *[None] * len(devices)]:
            self._items.put(item)
        workers: list[BaseProcess] = [
            self._context.Process(target=_work, args=(self._task, device, self._items, self._told, self._halt))
            for device in devices
        ]
        for worker in workers:
            worker.start()
        try:
            self._listen(workers)
        finally:
            self._halt.set()
            for worker in workers:
                worker.join()

    def _listen(self, workers: Sequence[BaseProcess]) -> None:
        """Carry reports until every worker has said goodbye. Raises the first error, once the others have drained."""
        running, failure = len(workers), None
        while running:
            if self._stop.is_set():
                self._halt.set()
            try:
                kind, body = self._told.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self._check_alive(workers)
                continue
            if kind == "report":
                self._report(body)
                continue
            running -= 1
            if kind == "failed":
                failure = failure or body
                self._halt.set()
        if failure is not None:
            raise failure

    def _check_alive(self, workers: Sequence[BaseProcess]) -> None:
        for worker in workers:
            if worker.exitcode not in (None, 0) and self._told.empty():
                self._halt.set()
                raise Interrupted(
                    f"worker {worker.pid} died (exit code {worker.exitcode}; -9 is often a lack of memory); "
                    "run the same command again: it goes on where it stopped, with fewer `engine.workers` if need be"
                )


def _work(task: Task, device: str, items: Any, told: Any, halt: Any) -> None:
    """Body of a worker process. Ctrl-C reaches every process of a terminal: only the parent heeds it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    threading.Thread(target=lambda: (halt.wait(), stop.set()), daemon=True).start()
    try:
        work = task.open(device, lambda body: told.put(("report", body)))
        while not halt.is_set() and (item := items.get()) is not None:
            work(item, stop)
    except FactoryError as error:
        told.put(("failed", error))
    except Exception as error:
        told.put(("failed", FactoryError(f"a worker failed: {error}\n{traceback.format_exc()}")))
    else:
        told.put(("done", None))
