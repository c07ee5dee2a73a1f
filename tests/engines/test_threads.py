"""A worker's part of the processor. Nothing here imports torch, which the workers would import then."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from earthsynth_factory.engines import threads
from earthsynth_factory.engines.base import Report
from earthsynth_factory.engines.local import LocalEngine


@dataclass
class TellImported:
    def open(self, _: str, report: Report) -> Callable[[int, threading.Event], bool]:
        def tell(item: int, stop: threading.Event) -> bool:
            report(("torch" in sys.modules, os.environ["OMP_NUM_THREADS"]))
            return True

        return tell


def test_workers_import_torch_only_if_their_task_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    told: list[Any] = []
    LocalEngine(["a", "b"]).run(TellImported(), iter(range(2)), told.append, threading.Event())
    assert told == [(False, "3"), (False, "3")]


def test_a_lone_process_has_a_thread_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    script = "import torch; print(torch.get_num_threads())"
    alone = subprocess.run([sys.executable, "-c", script], env=words, capture_output=True, text=True, check=True)
    for given in ("", "none", "0", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert threads._threads() == int(alone.stdout)
