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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.jsonl import append_line, open_to_append, records


@dataclass
class Row:
    """What is known of one image. measured: rule → {"settings": digest, "measures": {…}}. fault: why it is unusable."""

    name: str
    stamp: str
    category: int | None = None
    digest: str = ""
    phash: str = ""
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    fault: str = ""

    def measures(self, rule: str, settings: str) -> Mapping[str, float] | None:
        """The rule's numbers; None where it was not asked, or with other settings."""
        found = self.measured.get(rule)
        return None if found is None or found["settings"] != settings else found["measures"]


class ScoreJournal:
    """The rows of a folder. Raises StoreError for a damaged line that is not the last; a torn last line is cut off."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, Row] = {}
        self._path = path
        for row in records(path, lambda line: Row(**orjson.loads(line)), "choose another --out"):
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
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    written = [folder / "scores.csv"]
    write_bytes(written[0], text.getvalue().encode())
    try:
        import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]
        import pyarrow.parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return written
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
    pyarrow.parquet.write_table(table, folder / "scores.parquet")
    return [*written, folder / "scores.parquet"]
