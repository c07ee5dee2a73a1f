"""Files that would never end, or end too late, are refused; new files take the place of nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io import atomic
from earthsynth_factory.io.atomic import create_bytes
from earthsynth_factory.io.bounded import MAX_LINE, open_regular, read_bounded
from earthsynth_factory.io.jsonl import whole_lines


def test_pipes_devices_and_large_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises((ValueError, OSError)):
            open_regular(path)
    (tmp_path / "x").write_bytes(b"1234")
    assert read_bounded(tmp_path / "x", 4) == b"1234"
    with pytest.raises(ValueError, match="larger than 3"):
        read_bounded(tmp_path / "x", 3)


def test_a_journal_of_nothing_but_zeros_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("wb") as file:
        file.write(b"{}\n")
        file.truncate(MAX_LINE * 100)
    lines = whole_lines(path)
    assert next(lines) == b"{}\n"
    with pytest.raises(StoreError, match="a line longer than"):
        next(lines)


def test_a_new_file_takes_the_place_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_links(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    create_bytes(tmp_path / "a", b"first")
    (tmp_path / "b").symlink_to("nowhere")
    for _ in range(2):
        for name in ("a", "b"):
            with pytest.raises(FileExistsError):
                create_bytes(tmp_path / name, b"second")
        monkeypatch.setattr(atomic.os, "link", without_links)
    create_bytes(tmp_path / "c", b"third")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}
    assert (tmp_path / "a").read_bytes() == b"first" and (tmp_path / "c").read_bytes() == b"third"
