"""Runs side by side: a process that dies is named, what others finished is kept, and the same command goes on."""

from __future__ import annotations

import multiprocessing as mp
import signal
from pathlib import Path

import pytest

from earthsynth_factory.errors import Interrupted
from earthsynth_factory.evaluation.run import evaluate
from earthsynth_factory.evaluation.session import Events
from tests.evaluation import planted
from tests.evaluation.test_run import _pair, _records
from tests.killing import kill_a_worker, leave_half_written


@pytest.mark.timeout(900)
def test_a_worker_that_dies_is_named_and_the_same_command_goes_on(tmp_path: Path) -> None:
    real, made = _pair(tmp_path)
    recipe = planted.asked(real, made, arms=("real", "synthetic"), workers=2)

    def kill(done: int, _total: int, _left: float) -> None:
        if done == 1:
            kill_a_worker()

    with pytest.raises(Interrupted, match=r"worker \d+ died \(exit code -9.*with fewer `--workers`"):
        evaluate(recipe, tmp_path / "out", Events(ran=kill))
    left = len(list((tmp_path / "out").glob("runs/*.json")))
    assert 1 <= left < 4
    leave_half_written(tmp_path / "out")
    told: list[str] = []
    evaluate(recipe, tmp_path / "out", Events(say=told.append))
    evaluate(recipe.model_copy(update={"workers": 1}), tmp_path / "whole", Events())
    assert f"{left} of 4 runs are finished already; going on" in told
    assert _records(tmp_path / "out") == _records(tmp_path / "whole")
    assert not list((tmp_path / "out").rglob("*.esf-tmp"))


@pytest.mark.slow
def test_an_interrupt_ends_the_runs_as_they_stand(tmp_path: Path) -> None:
    real, made = _pair(tmp_path)

    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            recipe = planted.asked(real, made, arms=("real", "synthetic"), workers=2)
            evaluate(recipe, tmp_path / "out", Events(ran=interrupt))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not mp.active_children()
    assert len(list((tmp_path / "out").glob("runs/*.json"))) < 4
