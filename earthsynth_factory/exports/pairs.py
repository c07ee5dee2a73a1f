"""Counterfactual pairs in exports: fields beside an image if a format has such, and a table in every export's folder.

`pairs.csv` has a row an image of a pair: image (file stem), split, pair_id, counterfactual (0 or 1), class (by which the two
differ), instead (what stands there in the counterfactual image; empty: nothing). The two rows of a pair have one pair_id.
"""

from __future__ import annotations

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.io.tables import cell

TABLE = "pairs.csv"


def pair_fields(record: SampleRecord) -> dict[str, Any]:
    """`pair_id`, and whether it is the counterfactual image of its pair; empty for an image of none."""
    return {"pair_id": record.pair.id, "counterfactual": record.pair.counterfactual} if record.pair else {}


def write_pairs(store: LabelledDataset, folder: Path) -> None:
    """Write the table, if the dataset has pairs."""
    with ExitStack() as stack:
        table: Any = None
        for record in store.samples():
            if record.pair is None:
                continue
            if table is None:
                file = stack.enter_context((folder / TABLE).open("w", encoding="utf-8", newline=""))
                table = csv.writer(file, lineterminator="\n")
                table.writerow(["image", "split", "pair_id", "counterfactual", "class", "instead"])
            table.writerow(_row(store, record))


def _row(store: LabelledDataset, record: SampleRecord) -> list[object]:
    pair = record.pair
    assert pair is not None
    names = [
        "" if category is None or category not in store.taxonomy else store.taxonomy[category].name
        for category in (pair.category, pair.instead)
    ]
    return [cell(record.stem), cell(record.split), pair.id, int(pair.counterfactual), *map(cell, names)]
