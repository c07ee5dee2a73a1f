"""A finished run on disk: one file, written whole; and a line in the journal, which only people read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.evaluation.plan import Run
from earthsynth_factory.evaluation.result_folder import ResultFolder, read_object
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.claim import digest_of
from earthsynth_factory.io.jsonl import append_line, open_to_append


def write_record(folder: ResultFolder, run: Run, record: Mapping[str, Any], key: str) -> None:
    """key: digest of all that the run hangs on."""
    whole = {"key": key, **record}
    write_bytes(folder.run(run.name), orjson.dumps({**whole, "digest": digest_of(whole)}) + b"\n")


def note_run(folder: ResultFolder, run: Run, seconds: float) -> None:
    """A line of the journal. One process writes it, the one that holds the folder."""
    line = {"run": run.name, "seconds": round(seconds, 1), "time": round(time.time())}
    with open_to_append(folder.journal) as journal:
        append_line(journal, orjson.dumps(line) + b"\n", folder.journal)


def read_run(folder: ResultFolder, run: Run, key: str) -> dict[str, Any]:
    """The record of a run. Raises StoreError if it is missing, damaged or of another evaluation."""
    path = folder.run(run.name)
    found = read_object(path)
    if found.pop("digest", None) != digest_of(found):
        raise StoreError(f"{path}: is not as it was written; move it away and run the same command again")
    if found.get("key") != key:
        raise StoreError(f"{path}: belongs to another evaluation; choose another --out, or move the folder away")
    return found


def finished_runs(folder: ResultFolder, runs: Iterable[Run]) -> list[Run]:
    """Those of the runs that have their file."""
    return [run for run in runs if folder.run(run.name).is_file()]
