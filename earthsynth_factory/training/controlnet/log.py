"""What a run writes down of every step: losses that read back to the last bit, and on request what was composed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.io.atomic import disk_error, write_bytes
from earthsynth_factory.io.jsonl import open_to_append, whole_lines


class Log:
    """OUT/log.jsonl, a line a step, and OUT/choices.jsonl; lines that a resumed run will write again are dropped first."""

    def __init__(self, out: Path, step: int, leads: bool) -> None:
        self._paths = [out / "log.jsonl", out / "choices.jsonl"] if leads else []
        for path in self._paths:
            _cut(path, step)

    def __enter__(self) -> Log:
        self._files = [open_to_append(path) for path in self._paths]
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def write(self, step: int, numbers: Mapping[str, float], choices: Sequence[Any]) -> None:
        """A step's line. Numbers are written so that they read back to the last bit; NaN is null. Raises DiskError."""
        if not self._files:
            return
        try:
            self._files[0].write(orjson.dumps({"step": step, **numbers}) + b"\n")  # which writes NaN as null
            if choices:
                self._files[1].write(orjson.dumps({"step": step, "choices": choices}) + b"\n")
            for file in self._files:
                file.flush()
        except OSError as error:
            raise disk_error(self._paths[0], error) from error


def _cut(path: Path, step: int) -> None:
    """Keeps the lines up to and with `step`; a torn one goes too."""
    if not path.is_file():
        return
    kept = []
    for line in whole_lines(path):
        try:
            if orjson.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    write_bytes(path, b"".join(kept))
