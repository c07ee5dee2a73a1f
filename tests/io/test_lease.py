"""Leases: one of many gets one, a dead holder's goes to the next, a live one's to nobody."""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io import lease as module
from earthsynth_factory.io.lease import DEAD_SECONDS, Holder, clock_of, leased, leases, live_leases


def _elsewhere(folder: Path, age: float, text: str | None = None) -> Path:
    path = folder / "one.0.lease"
    path.write_text(text or json.dumps({**asdict(Holder.me()), "machine": "elsewhere"}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def _hold(folder: Path, ready: object, end: object) -> None:
    with leased(folder, "one") as lease:
        ready.put(lease is not None)  # type: ignore[attr-defined]
        end.wait(30)  # type: ignore[attr-defined]


def test_one_of_many_gets_it_and_the_next_after_a_kill(tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    ready, end = context.Queue(), context.Event()
    tasks = [context.Process(target=_hold, args=(tmp_path / "work", ready, end)) for _ in range(3)]
    for task in tasks:
        task.start()
    assert sorted(ready.get(timeout=60) for _ in tasks) == [False, False, True]
    assert len(live_leases(tmp_path / "work")) == 1
    for task in tasks:
        task.kill()
        task.join()
    assert not live_leases(tmp_path / "work"), "the kernel says at once that the process is gone"
    with leased(tmp_path / "work", "one") as lease:
        assert lease and lease.held
        assert leases(tmp_path / "work")["one"].generation == 1
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("text", [None, "", "[]", '{"host": 1}', "\0" * 100])
def test_another_machine_lives_by_its_heartbeat_alone(tmp_path: Path, text: str | None) -> None:
    path = _elsewhere(tmp_path, DEAD_SECONDS - 10, text)
    with leased(tmp_path, "one") as lease:
        assert lease is None
    os.utime(path, (time.time() - DEAD_SECONDS - 10,) * 2)
    with leased(tmp_path, "one") as lease:
        assert lease and lease.held


def test_only_the_clock_of_the_file_system_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _elsewhere(tmp_path, 0)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1e6)
    assert abs(clock_of(tmp_path) - now) < 60
    assert live_leases(tmp_path)


def test_it_is_touched_as_long_as_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    with leased(tmp_path, "one") as lease:
        path = leases(tmp_path)["one"].path
        os.utime(path, (1.0, 1.0))
        until = time.monotonic() + 20
        while path.stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert lease and path.stat().st_mtime > 2


def test_a_holder_that_was_taken_for_dead_knows_it(tmp_path: Path) -> None:
    with leased(tmp_path, "one") as first:
        assert first and first.held
        _elsewhere(tmp_path, DEAD_SECONDS + 1)
        with leased(tmp_path, "one") as second:
            assert second and second.held and not first.held


def test_a_reused_process_number_is_no_sign_of_life(tmp_path: Path) -> None:
    me = asdict(Holder.me())
    (tmp_path / "one.0.lease").write_text(json.dumps({**me, "started": me["started"] - 1}))
    assert leases(tmp_path) and not live_leases(tmp_path)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link"), leased(tmp_path / "work", "one"):
        pass
    assert not list((tmp_path / "elsewhere").iterdir())


def test_among_many_holders_no_other_lease_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        _elsewhere(tmp_path, 0).rename(tmp_path / f"{number:05d}.0.lease")
    read: list[str] = []
    before = module._read

    def note(folder: Path, key: str, generation: int) -> object:
        read.append(key)
        return before(folder, key, generation)

    monkeypatch.setattr(module, "_read", note)
    with leased(tmp_path, "mine") as lease:
        assert lease and lease.held
        assert not live_leases(tmp_path, "all")
    assert set(read) <= {"mine"}
    assert len(live_leases(tmp_path)) == 100
