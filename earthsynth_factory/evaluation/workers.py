"""Runs on one thread each, several side by side: what a run gives depends neither on how many there are nor on what stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from earthsynth_factory.engines.base import Report
from earthsynth_factory.engines.local import LocalEngine
from earthsynth_factory.evaluation.plan import Run
from earthsynth_factory.evaluation.pool import open_pool
from earthsynth_factory.evaluation.record import write_record
from earthsynth_factory.evaluation.result_folder import ResultFolder
from earthsynth_factory.evaluation.training_run import Settings, train_run

Ran = Callable[[Run, float], None]
"""Called with every finished run and its seconds."""


@dataclass(frozen=True)
class RunTask:
    """Makes runs of one evaluation, each in the folder when it is told of."""

    folder: Path
    settings: Settings
    key: str

    def open(self, device: str, report: Report) -> Callable[[Run, threading.Event], bool]:
        torch.set_num_threads(1)  # of a worker, or within `one_thread`
        folder, settings = ResultFolder(self.folder), replace(self.settings, device=device)

        def make(run: Run, _stop: threading.Event) -> bool:
            record = train_run(open_pool(folder.pool), settings, run)
            write_record(folder, run, record, self.key)
            report((run, float(record["seconds"])))
            return True

        return make


def make_runs(task: RunTask, runs: Sequence[Run], workers: int, ran: Ran) -> None:
    """Make the runs, `workers` at a time. Raises the first error of any, once the others have ended."""
    engine = LocalEngine.of(task.settings.device, workers, len(runs), "--workers")
    with one_thread():
        engine.run(task, runs, lambda made: ran(*made), threading.Event())


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, so that sums are made in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
