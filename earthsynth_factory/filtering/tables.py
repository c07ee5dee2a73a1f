"""Decisions as tables for people: `scores.csv`, and `scores.parquet` if pyarrow is installed.

One row an image, in the order of the folder:

    id, image, category, kept, reasons, <rule>, <rule>.<measure> …, threshold.<rule> …

`kept` is 0 or 1; `reasons` are joined by `; `; `<rule>` is the rule's value, higher is better, empty if it was not
asked or does not apply; `threshold.<rule>` the least value it was held to.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from earthsynth_factory.io.atomic import changed_file
from earthsynth_factory.io.tables import cell


def write_tables(folder: Path, columns: list[str], rows: Callable[[], Iterator[dict[str, Any]]]) -> list[Path]:
    """`scores.csv` and, if pyarrow is there, `scores.parquet`; gives the files written. Raises DiskError.

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
