"""Every path of an evaluation's folder, named once.

OUT/
  settings.json               what every run shares; another evaluation is refused here
  pool/                       the images as arrays, for the processes that train
  runs/<run>.json             a finished run, written whole
  journal.jsonl               a line for every run that was made, with its seconds
  looks.json                  how made images look beside real ones; it depends on the images alone
  trainer/<arm>/…             data of a user's own trainer, and what it wrote
  evaluation.json  index.html  card.md
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.bounded import read_bounded

MAX_BYTES = 1 << 28
"""Largest document that is read: a run tells of every image."""


FOLDERS = ("pool", "runs", "trainer/*/noise")
"""What an evaluation writes into."""


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """The paths of an evaluation."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "settings.json"

    @property
    def pool(self) -> Path:
        return self.root / "pool"

    @property
    def journal(self) -> Path:
        return self.root / "journal.jsonl"

    @property
    def looks(self) -> Path:
        return self.root / "looks.json"

    @property
    def trainer(self) -> Path:
        return self.root / "trainer"

    @property
    def result(self) -> Path:
        return self.root / "evaluation.json"

    @property
    def page(self) -> Path:
        return self.root / "index.html"

    @property
    def card(self) -> Path:
        return self.root / "card.md"

    def run(self, name: str) -> Path:
        return self.root / "runs" / f"{name}.json"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises StoreError if it is missing or none."""
    try:
        found = orjson.loads(read_bounded(path, MAX_BYTES))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: missing or damaged ({error}); move it away and run the same command again"
        ) from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}: holds no JSON object; move it away and run the same command again")
    return found


@contextmanager
def as_written(folder: Path) -> Iterator[None]:
    """Whatever goes wrong with what is read from an evaluation's folder means that it is not as it was written.

    Raises StoreError that says so.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError, EOFError) as error:
        told = f"{type(error).__name__}: {error}"[:200]
        raise StoreError(f"{folder}: is not as `evaluate` wrote it ({told}); evaluate into another folder") from error


def compared_dataset(path: Path) -> list[Path]:
    """The synthetic datasets behind `--compare`: those of an evaluation's folder, or the folder itself."""
    result = ResultFolder(path).result
    if not result.is_file():
        return [path]
    with as_written(path):
        return [Path(str(one)) for one in read_object(result)["synthetic"]]
