"""Stored scores: a journal that a kill cannot spoil, and the tables made of it.

`scores.jsonl` has a line for every image and stage of scoring; later lines of an image add to earlier ones. `scores.csv`
(and `scores.parquet` where pyarrow is installed) has one row an image, in the order of the folder:

    id, image, category, kept, reasons, <rule>, <rule>.<measure> …, threshold.<rule> …

`kept` is 0 or 1; `reasons` are joined by `; `; `<rule>` is the rule's value, higher is better, empty where it was not
asked or does not apply; `threshold.<rule>` the least value it was held to.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import Field
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12

from earthsynth_factory.datasets.build.records import ClassId, parsed
from earthsynth_factory.io.atomic import changed_file
from earthsynth_factory.io.jsonl import append_line, open_to_append, records
from earthsynth_factory.io.tables import cell


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule measured of an image, small in memory: there are as many as images times rules.

    settings: a digest of the rule's. names: of the numbers, one tuple for all images. values: NaN where there is none.
    """

    settings: str
    names: tuple[str, ...]
    values: array[float]

    @classmethod
    def of(cls, settings: str, measures: Mapping[str, float | None]) -> Measured:
        """measures: name → number; None where it could not be measured."""
        values = array("d", (math.nan if value is None else value for value in measures.values()))
        return cls(sys.intern(settings), _shared(tuple(measures)), values)

    @property
    def measures(self) -> dict[str, float]:
        return dict(zip(self.names, self.values, strict=True))


@cache
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(sys.intern, names))


class _MeasuredLine(TypedDict):
    settings: str
    measures: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class _RowLine:
    """A line of the journal, as it is checked."""

    name: str
    stamp: str
    category: ClassId | None
    digest: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")]
    phash: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")]
    measured: dict[str, _MeasuredLine]
    fault: str = ""


@dataclass(slots=True)
class ScoreRow:
    """What is known of one image. measured: rule → its numbers. fault: why it is unusable."""

    name: str
    stamp: str
    category: int | None = None
    digest: str = ""
    phash: str = ""
    measured: dict[str, Measured] = field(default_factory=dict)
    fault: str = ""

    @classmethod
    def parse(cls, line: bytes) -> ScoreRow:
        """The row in a line. Raises ValueError that says what is wrong with it."""
        found = parsed(line, _RowLine)
        measured = {sys.intern(rule): Measured.of(**one) for rule, one in found.measured.items()}
        return cls(found.name, found.stamp, found.category, found.digest, found.phash, measured, found.fault)

    def line(self) -> bytes:
        """The row as a line of the journal; NaN is null."""
        measured = {rule: {"settings": one.settings, "measures": one.measures} for rule, one in self.measured.items()}
        return orjson.dumps({**{name: getattr(self, name) for name in _PLAIN}, "measured": measured}) + b"\n"

    def measures(self, rule: str, settings: str) -> Mapping[str, float] | None:
        """The rule's numbers; None where it was not asked, or with other settings."""
        found = self.measured.get(rule)
        return None if found is None or found.settings != settings else found.measures


_PLAIN = ("name", "stamp", "category", "digest", "phash", "fault")


class ScoreJournal:
    """The rows of a folder. Raises StoreError for a damaged line that is not the last; a torn last line is cut off."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, ScoreRow] = {}
        self._path = path
        for row in records(path, ScoreRow.parse, "choose another --out"):
            self.rows[row.name] = row
        self._file = open_to_append(path)

    def put(self, rows: Iterable[ScoreRow]) -> None:
        """Record rows whole; on disk when this returns. Raises DiskError."""
        rows = list(rows)
        self.rows |= {row.name: row for row in rows}
        append_line(self._file, b"".join(row.line() for row in rows), self._path)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def write_tables(folder: Path, columns: list[str], rows: Callable[[], Iterator[dict[str, Any]]]) -> list[Path]:
    """`scores.csv` and, where pyarrow is there, `scores.parquet`; gives the files written. Raises DiskError.

    rows: gives them from the first on, each time it is called; none is kept.
    """
    written = [folder / "scores.csv"]
    with changed_file(written[0]) as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(row.get(name, "")) for name in columns] for row in rows())
        text.flush()
        text.detach()
    try:
        import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]
        import pyarrow.parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return written
    schema = pyarrow.schema([(name, _TYPES.get(name, "float64")) for name in columns])
    with changed_file(folder / "scores.parquet") as file, pyarrow.parquet.ParquetWriter(file, schema) as parquet:
        for some in _batches(rows(), TABLE_ROWS):
            parquet.write_table(pyarrow.table({name: [row.get(name) for row in some] for name in columns}, schema))
    return [*written, folder / "scores.parquet"]


TABLE_ROWS = 4096
"""Rows of the table that are in memory at a time."""

_TYPES = {"id": "string", "image": "string", "category": "string", "kept": "int64", "reasons": "string"}


def _batches(rows: Iterator[dict[str, Any]], count: int) -> Iterator[list[dict[str, Any]]]:
    while some := list(islice(rows, count)):
        yield some
