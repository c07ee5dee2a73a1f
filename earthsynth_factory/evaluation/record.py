"""A finished run on disk: one file, written whole, and a line of the journal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.evaluation.plan import Run
from earthsynth_factory.evaluation.result_folder import ResultFolder, read_object
from earthsynth_factory.io.atomic import append_line, disk_error, write_bytes


def write_record(folder: ResultFolder, run: Run, record: Mapping[str, Any], key: str) -> None:
    """key: digest of all that the run hangs on."""
    write_bytes(folder.run(run.name), orjson.dumps({"key": key, **record}) + b"\n")
    line = {"run": run.name, "seconds": record["seconds"], "time": round(time.time())}
    try:
        with folder.journal.open("ab") as journal:
            append_line(journal, orjson.dumps(line) + b"\n", folder.journal)
    except OSError as error:
        raise disk_error(folder.journal, error) from error


def read_record(folder: ResultFolder, run: Run, key: str) -> dict[str, Any] | None:
    """The record of a run, None if it was not made yet. Raises StoreError where it is damaged or of another evaluation."""
    path = folder.run(run.name)
    if not path.is_file():
        return None
    found = read_object(path)
    if found.get("key") != key:
        raise StoreError(f"{path}: belongs to another evaluation; choose another --out, or move the folder away")
    return found


def finished(folder: ResultFolder, runs: Iterable[Run]) -> list[Run]:
    """Those of the runs that have their file."""
    return [run for run in runs if folder.run(run.name).is_file()]
