"""How many workers there are, on which devices, with how many threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from earthsynth_factory.build.filling import _engine
from earthsynth_factory.engines.base import Report
from earthsynth_factory.engines.local import LocalEngine
from earthsynth_factory.errors import Interrupted, RecipeError
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import write_recipe


@pytest.mark.parametrize(
    ("gpus", "device", "workers", "shards", "devices"),
    [
        (4, "auto", "auto", 9, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        (4, "auto", "auto", 2, ["cuda:0", "cuda:1"]),
        (2, "cuda", "3", 9, ["cuda:0", "cuda:1", "cuda:0"]),
        (2, "cuda:1", "auto", 9, ["cuda:1"]),
        (2, "cpu", "auto", 9, ["cpu"]),
        (0, "auto", "auto", 9, ["auto"]),
        (0, "auto", "2", 9, ["auto", "auto"]),
    ],
)
def test_auto_is_one_for_each_gpu(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    device: str,
    workers: str,
    shards: int,
    devices: list[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    loaded = load_recipe(write_recipe(tmp_path), [f"engine.device={device}", f"engine.workers={workers}"])
    assert _engine(loaded.recipe, shards) == LocalEngine(devices)


@pytest.mark.parametrize("value", ["0", "257", "1.5", "many", "true"])
def test_what_is_no_number_of_workers_is_said_once(tmp_path: Path, value: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_recipe(tmp_path), [f"engine.workers={value}"])
    assert len(caught.value.faults) == 1 and "must be `auto` or a whole number of 1–256" in str(caught.value)


@dataclass
class TellThreads:
    def open(self, device: str, report: Report) -> Callable[[int, threading.Event], bool]:
        def tell(item: int, stop: threading.Event) -> bool:
            report((device, item, torch.get_num_threads()))
            return True

        return tell


def test_workers_divide_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    told: list[Any] = []
    LocalEngine(["a", "b"]).run(TellThreads(), iter(range(5)), told.append, threading.Event())
    assert sorted(item for _, item, _ in told) == list(range(5))
    assert {threads for _, _, threads in told} == {1}


@dataclass
class DeadlyToRead(TellThreads):
    """Ends whoever unpickles it, with most of its bytes unread: more than a pipe holds."""

    def __reduce__(self) -> Any:
        return os._exit, (7,), bytes(1 << 20)


@pytest.mark.timeout(60)
def test_a_worker_that_dies_before_it_has_read_its_task_is_named() -> None:
    with pytest.raises(Interrupted, match=r"died \(exit code 7"):
        LocalEngine(["a", "b"]).run(DeadlyToRead(), iter(range(5)), print, threading.Event())
