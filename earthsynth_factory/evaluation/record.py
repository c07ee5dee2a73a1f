"""A finished run on disk: one file, written whole; and a line in the journal, which only people read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.evaluation.plan import Run
from earthsynth_factory.evaluation.result_folder import ResultFolder, read_object
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.claim import digest_of
from earthsynth_factory.io.jsonl import append_line, open_to_append


def write_record(folder: ResultFolder, run: Run, record: Mapping[str, Any], key: str) -> None:
    """key: digest of all that the run depends on."""
    _write(folder.run(run.name), record, key)


def write_looks(folder: ResultFolder, looks: Mapping[str, Any], key: str) -> None:
    """Keep what `likeness` found, for an evaluation that gets more runs. key: as of a run."""
    _write(folder.looks, looks, key)


def note_run(folder: ResultFolder, run: Run, seconds: float) -> None:
    """A line of the journal. One process writes it, the one that holds the folder."""
    line = {"run": run.name, "seconds": round(seconds, 1), "time": round(time.time())}
    with open_to_append(folder.journal) as journal:
        append_line(journal, orjson.dumps(line) + b"\n", folder.journal)


def read_run(folder: ResultFolder, run: Run, key: str) -> dict[str, Any]:
    """The record of a run. Raises StoreError if it is missing, damaged or of another evaluation."""
    return _read(folder.run(run.name), key)


def read_looks(folder: ResultFolder, key: str) -> dict[str, Any] | None:
    """What `write_looks` kept; None if nothing is there, or nothing that belongs to the evaluation."""
    try:
        found = _read(folder.looks, key)
    except StoreError:
        return None
    return {name: value for name, value in found.items() if name != "key"}


def _write(path: Path, facts: Mapping[str, Any], key: str) -> None:
    whole = {"key": key, **facts}
    write_bytes(path, orjson.dumps({**whole, "digest": digest_of(whole)}) + b"\n")


def _read(path: Path, key: str) -> dict[str, Any]:
    found = read_object(path)
    if found.pop("digest", None) != digest_of(found):
        raise StoreError(f"{path}: is not as it was written; move it away and run the same command again")
    if found.get("key") != key:
        raise StoreError(f"{path}: belongs to another evaluation; choose another --out, or move the folder away")
    return found


def finished_runs(folder: ResultFolder, runs: Iterable[Run]) -> list[Run]:
    """Those of the runs that have their file."""
    return [run for run in runs if folder.run(run.name).is_file()]
