"""What a journal speaks of is on the disk before, and the disk is waited for by the group, not for each file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from earthsynth_factory.io import atomic
from tests.build.building import run_build, write_recipe


def test_pixels_are_flushed_before_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    flush = atomic.flush

    def watched(paths: Sequence[Path]) -> None:
        lines = "".join(path.read_text() for path in tmp_path.rglob("samples.jsonl"))
        for path in paths:
            assert path.stat().st_size and f'"slot":{int(path.stem)},' not in lines
        flushed.extend(paths)
        flush(paths)

    monkeypatch.setattr(atomic, "flush", watched)
    run_build(write_recipe(tmp_path), tmp_path / "out")
    assert sorted(flushed) == sorted((tmp_path / "out/shards").rglob("*.png"))


@pytest.mark.parametrize("whole", [True, False])
def test_every_file_is_seen_onto_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    """As one file system, or file by file where the system has no such call."""
    if not whole:
        monkeypatch.setattr(atomic, "_syncfs", lambda: None)
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle))[1])
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        atomic.write_bytes(path, b"pixels", durable=False)
    assert not synced
    atomic.flush(paths)
    assert synced == ([] if whole else [path.stat().st_ino for path in paths])
    atomic.flush([])


def test_the_disk_is_not_waited_for_at_each_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[object] = []
    fsync, whole = os.fsync, atomic._file_system_flushed
    monkeypatch.setattr(os, "fsync", lambda handle: (waits.append(handle), fsync(handle))[1])
    monkeypatch.setattr(atomic, "_file_system_flushed", lambda folder: (waits.append(folder), whole(folder))[1])
    few = run_build(write_recipe(tmp_path), tmp_path / "few", "exports=[coco]", "engine.shard_size=500").accepted
    before = len(waits)
    many = run_build(
        write_recipe(tmp_path), tmp_path / "many", "exports=[coco]", "engine.shard_size=500", "categories.0.count=214"
    ).accepted
    assert len(waits) - 2 * before < (many - few) / 2, "with a wait for each of three files it would be three an image"
