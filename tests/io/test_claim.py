"""Folders are ours by their mark; what is finished is known; what is foreign is left alone."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.claim import MARK, claimed
from earthsynth_factory.io.lock import locked


def test_a_finished_folder_is_known_by_settings_and_outcome(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with claimed(out, "split", {"seed": 1}) as claim:
        claim.begin()
        (out / "file").write_bytes(b"")
        assert not claim.done("a")
        claim.finish("a")
    with claimed(out, "split", {"seed": 1}) as claim:
        assert claim.done("a") and not claim.done("b")
        claim.begin()
        assert claim.done("a"), "beginning again takes nothing back"
        claim.reopen()
        assert not claim.done("a")
    with (
        pytest.raises(StoreError, match=r"was made with seed 1 \(now 2\); use the same options"),
        claimed(out, "split", {"seed": 2}),
    ):
        pass
    with pytest.raises(StoreError, match="was made by split, not by merge"), claimed(out, "merge", {}):
        pass


def test_a_foreign_folder_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="not empty and no filter of ours"), claimed(tmp_path, "filter", {}):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_in_which_nothing_came_about_may_be_claimed_otherwise(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claimed(tmp_path / "out", "prepare", {"map": None}) as claim:
        claim.begin()
        raise KeyError
    with claimed(tmp_path / "out", "prepare", {"map": "car: vehicle"}):
        pass


def test_a_damaged_mark_is_named(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("{")
    with pytest.raises(StoreError, match=rf"{MARK}: damaged"), claimed(tmp_path, "split", {}):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_held_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        locked(tmp_path, "build"),
        pytest.raises(StoreError, match="another build is writing here"),
        locked(tmp_path, "build"),
    ):
        pass
    with locked(tmp_path, "build"):
        pass
