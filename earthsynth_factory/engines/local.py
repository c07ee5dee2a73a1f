"""The engine of one machine: this process, or several, one device each."""

from __future__ import annotations

import multiprocessing as mp
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from earthsynth_factory.engines.base import Engine, EngineTask, Item, Report, failure
from earthsynth_factory.engines.threads import share_threads
from earthsynth_factory.errors import FactoryError, Interrupted
from earthsynth_factory.io.processes import be_a_child, spawning

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LocalEngine(Engine):
    """One worker for each entry of `devices`; with a single one everything happens in this process.

    setting: the user's, by which there are fewer workers.
    """

    devices: Sequence[str]
    setting: str = "engine.workers"

    @classmethod
    def of(cls, device: str, asked: Literal["auto"] | int, most: int, setting: str = "engine.workers") -> LocalEngine:
        """Workers on a device: GPUs in turn if `auto` or `cuda` stands for several. asked: how many; `auto` is one for each
        GPU, one without. most: no more than this are of use.
        """
        if device not in ("auto", "cuda"):
            return cls([device] * max(1, min(1 if asked == "auto" else asked, most)), setting)
        from earthsynth_factory.models.device import all_devices, device_count

        count = device_count(device) if asked == "auto" else asked
        return cls(all_devices(device, max(1, min(count, most))), setting)

    @property
    def workers(self) -> int:
        return len(self.devices)

    def run(self, task: EngineTask[Item], items: Iterable[Item], report: Report, stop: threading.Event) -> None:
        if len(self.devices) > 1:
            _Processes(task, items, report, stop, self.setting).run(self.devices)
            return
        work = task.open(self.devices[0], report)
        for item in items:
            if stop.is_set():
                return
            work(item, stop)


class _Processes:
    """Several processes, each at the end of a pipe of its own: one that is killed takes no shared lock with it."""

    def __init__(
        self, task: EngineTask[Any], items: Iterable[Any], report: Report, stop: threading.Event, setting: str
    ) -> None:
        # Fresh interpreters: forking a process that has threads or a CUDA context can hang.
        self._context = mp.get_context("spawn")
        self._task = task
        self._items = iter(items)
        self._report = report
        self._stop, self._setting = stop, setting
        self._halt = self._context.RawValue("b", 0)
        self._failure: FactoryError | None = None
        self._workers: dict[Connection, BaseProcess] = {}
        """Those that are at work, by our end of their pipe."""
        self._all: list[BaseProcess] = []

    def run(self, devices: Sequence[str]) -> None:
        """Raises the first error of a worker, once the others have kept what they were making.

        If this process is interrupted, or cannot take what it is told, they are ended as they stand.
        """
        try:
            for _ in devices:
                self._start()
            for ours, device in zip(list(self._workers), devices, strict=True):
                self._give(ours, (self._task, device, len(devices)))
            while self._workers:
                self._halt.value |= self._stop.is_set() or self._failure is not None
                for pipe in wait(list(self._workers), timeout=POLL_SECONDS):
                    assert isinstance(pipe, Connection)
                    self._hear(pipe)
        except BaseException:
            for worker in self._started():
                worker.terminate()
            raise
        finally:
            for pipe in self._workers:
                pipe.close()
            for worker in self._started():
                worker.join()
        if self._failure:
            raise self._failure

    def _started(self) -> list[BaseProcess]:
        return [worker for worker in self._all if worker.pid is not None]

    def _start(self) -> None:
        """The task follows through the pipe: an argument is waited for until it is read, even by one that died."""
        ours, theirs = self._context.Pipe()
        worker = self._context.Process(target=_work, args=(theirs, self._halt))
        self._all.append(worker)  # before it starts: Ctrl-C comes as soon as that is done
        with spawning():
            worker.start()
        theirs.close()
        self._workers[ours] = worker

    def _hear(self, pipe: Connection) -> None:
        try:
            kind, body = pipe.recv()
        except (EOFError, ConnectionError):
            self._gone(pipe)
            return
        if kind == "report":
            self._report(body)
        elif kind == "idle":
            self._give(pipe, None if self._halt.value else next(self._items, None))
        else:
            self._failure = self._failure or body

    def _give(self, pipe: Connection, body: object) -> None:
        try:
            pipe.send(body)
        except ConnectionError:
            self._gone(pipe)

    def _gone(self, pipe: Connection) -> None:
        """A worker closed its end: it is done, or it died."""
        worker = self._workers.pop(pipe)
        worker.join()
        if worker.exitcode and not self._failure and not self._stop.is_set():
            self._failure = Interrupted(
                f"worker {worker.pid} died (exit code {worker.exitcode}; -9 is often a lack of memory); "
                f"run the same command again: it goes on where it stopped, with fewer `{self._setting}` if need be"
            )


def _work(pipe: Connection, halt: Any) -> None:
    """Body of a worker process, one of several: first it is told the task, its device and how many there are.

    Ctrl-C reaches every process of a terminal: only the parent heeds it.
    """
    be_a_child()
    stop = threading.Event()
    threading.Thread(target=_watch, args=(halt, stop), daemon=True).start()
    try:
        task, device, workers = pipe.recv()
        share_threads(workers)
        work = task.open(device, lambda body: pipe.send(("report", body)))
        while (item := _next_item(pipe)) is not None:
            work(item, stop)
    except (BrokenPipeError, EOFError):
        pass  # the parent is gone, and nobody is left to tell
    except Exception as error:
        pipe.send(("failed", failure(error)))


def _next_item(pipe: Connection) -> Any:
    """None if there is no more to do."""
    pipe.send(("idle", None))
    return pipe.recv()


def _watch(halt: Any, stop: threading.Event) -> None:
    while not halt.value:
        time.sleep(POLL_SECONDS)
    stop.set()
