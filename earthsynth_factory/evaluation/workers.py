"""Runs in processes of one thread each: what a run gives does not hang on how many there are, nor on what stops.

A worker ends with its parent; so a killed evaluation leaves nothing behind that computes.
"""

from __future__ import annotations

import multiprocessing as mp
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from earthsynth_factory.errors import FactoryError, Interrupted
from earthsynth_factory.evaluation.plan import Run
from earthsynth_factory.evaluation.pool import open_pool
from earthsynth_factory.evaluation.record import write_record
from earthsynth_factory.evaluation.result_folder import ResultFolder
from earthsynth_factory.evaluation.training_run import Settings, train_run
from earthsynth_factory.io.processes import be_a_child, spawning


@dataclass(frozen=True)
class RunSetup:
    """What a worker needs to make runs."""

    folder: Path
    settings: Settings
    key: str


Report = Callable[[Run, float], None]
"""Called with every finished run and its seconds."""


def make_runs(setup: RunSetup, runs: Sequence[Run], workers: int, report: Report) -> None:
    """Make the runs, `workers` at a time. Raises the first error of any, once the others have ended."""
    if min(workers, len(runs)) <= 1:
        with one_thread():
            for run in runs:
                report(run, _make(setup, run))
        return
    _Processes(setup, runs, report).work(min(workers, len(runs)))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, so that sums are made in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _make(setup: RunSetup, run: Run) -> float:
    folder = ResultFolder(setup.folder)
    record = train_run(open_pool(folder.pool), setup.settings, run)
    write_record(folder, run, record, setup.key)
    return float(record["seconds"])


class _Processes:
    """Fresh interpreters, each at the end of a pipe of its own."""

    def __init__(self, setup: RunSetup, runs: Sequence[Run], report: Report) -> None:
        self._setup, self._waiting, self._report = setup, deque(runs), report
        self._context = mp.get_context("spawn")
        self._workers: dict[Connection, BaseProcess] = {}
        self._failure: FactoryError | None = None

    def work(self, count: int) -> None:
        """Until all is done, or one has failed."""
        for _ in range(count):
            self._start()
        try:
            while self._workers:
                for pipe in wait(list(self._workers)):
                    assert isinstance(pipe, Connection)
                    self._hear(pipe)
        except BaseException:
            for worker in self._workers.values():
                worker.terminate()
            raise
        finally:
            for worker in self._workers.values():
                worker.join()
        if self._failure:
            raise self._failure

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        worker = self._context.Process(target=_serve, args=(self._setup, theirs), daemon=True)
        with spawning():
            worker.start()
        theirs.close()
        self._workers[ours] = worker

    def _hear(self, pipe: Connection) -> None:
        try:
            message = pipe.recv()
        except (EOFError, ConnectionError):
            self._gone(pipe)
            return
        if isinstance(message, FactoryError):
            self._failure = self._failure or message
        elif message is not None:
            self._report(*message)
        elif self._waiting and not self._failure:
            pipe.send(self._waiting.popleft())
        else:
            pipe.send(None)

    def _gone(self, pipe: Connection) -> None:
        worker = self._workers.pop(pipe)
        worker.join()
        if worker.exitcode and not self._failure:
            self._failure = Interrupted(
                f"a process of the evaluation died (exit code {worker.exitcode}; -9 is often a lack of memory); run the "
                "same command again: finished runs are kept, and --workers 1 needs least memory"
            )


def _serve(setup: RunSetup, pipe: Connection) -> None:
    """Body of a worker."""
    be_a_child()
    torch.set_num_threads(1)
    try:
        while True:
            pipe.send(None)
            run = pipe.recv()
            if run is None:
                return
            pipe.send((run, _make(setup, run)))
    except (BrokenPipeError, EOFError):
        return
    except FactoryError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(FactoryError(f"a run failed: {error}\n{traceback.format_exc()}"))
