"""The checks and the time limit of `make bench-gpu`, rehearsed on a CPU: a minute on a GPU is dear."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
import torch

from tests.benchmarks import budget, gpu, gpu_checks
from tests.benchmarks.budget import Budget


@pytest.mark.slow
def test_every_check_passes_on_the_cpu(tmp_path: Path) -> None:
    size = gpu.SIZES["tiny"]
    bench = gpu.Bench(size, torch.device("cpu"), Budget(300), tmp_path / "out")
    bench.pipe = gpu.random_pipeline(tmp_path / "base", size, bench.device)
    gpu.to_ours(bench)
    gpu_checks.run(bench, tmp_path, Budget(300))
    assert len(bench.checks) == 5
    assert [check for check in bench.checks if not check["result"].startswith("ok")] == []
    assert (tmp_path / "out/gpu.json").exists()


def test_what_swallows_the_alarm_is_cut_off_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "AGAIN", 0.1)
    limit = Budget(0.2)
    started = time.monotonic()
    limit.attempt("deaf once", 0, swallow_once)
    assert time.monotonic() - started < 5
    assert limit.notes["deaf once"].startswith("OutOfTimeError")


def swallow_once() -> None:
    """As the collector's callbacks do."""
    with contextlib.suppress(budget.OutOfTimeError):
        time.sleep(10)
    time.sleep(10)
