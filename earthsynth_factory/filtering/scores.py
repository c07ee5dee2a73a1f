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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import Field
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12

from earthsynth_factory.datasets.build.records import ClassId, parsed
from earthsynth_factory.io.atomic import new_file, write_changed
from earthsynth_factory.io.jsonl import append_line, open_to_append, records
from earthsynth_factory.io.tables import cell


class Measured(TypedDict):
    """settings: a digest of those of the rule. measures: name → number; None where it could not be measured."""

    settings: str
    measures: dict[str, float | None]


@dataclass
class Row:
    """What is known of one image. measured: rule → its numbers. fault: why it is unusable."""

    name: str
    stamp: str
    category: ClassId | None = None
    digest: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")] = ""
    phash: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")] = ""
    measured: dict[str, Measured] = field(default_factory=dict)
    fault: str = ""

    def measures(self, rule: str, settings: str) -> Mapping[str, float] | None:
        """The rule's numbers; None where it was not asked, or with other settings."""
        found = self.measured.get(rule)
        if found is None or found["settings"] != settings:
            return None
        return {name: math.nan if value is None else value for name, value in found["measures"].items()}


class ScoreJournal:
    """The rows of a folder. Raises StoreError for a damaged line that is not the last; a torn last line is cut off."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, Row] = {}
        self._path = path
        for row in records(path, lambda line: parsed(line, Row), "choose another --out"):
            self.rows[row.name] = row
        self._file = open_to_append(path)

    def put(self, rows: Iterable[Row]) -> None:
        """Record rows whole; on disk when this returns. Raises DiskError."""
        rows = list(rows)
        self.rows |= {row.name: row for row in rows}
        append_line(self._file, b"".join(orjson.dumps(asdict(row)) + b"\n" for row in rows), self._path)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def write_tables(folder: Path, columns: list[str], rows: list[dict[str, Any]]) -> list[Path]:
    """`scores.csv` and, where pyarrow is there, `scores.parquet`; gives the files written. Raises DiskError."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(row.get(name, "")) for name in columns] for row in rows)
    written = [folder / "scores.csv"]
    write_changed(written[0], text.getvalue().encode("utf-8", "surrogateescape"))
    try:
        import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]
        import pyarrow.parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return written
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
    with new_file(folder / "scores.parquet") as file:
        pyarrow.parquet.write_table(table, file)
    return [*written, folder / "scores.parquet"]
