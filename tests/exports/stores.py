"""Stores with what formats stumble over: odd class names, crowds, ids of a later taxonomy; and how an export is read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.base import ExportSpec, ExportSummary
from earthsynth_factory.exports.write import export
from earthsynth_factory.geometry.boxes import tight_boxes
from earthsynth_factory.geometry.rle import encode
from earthsynth_factory.geometry.runs import find_runs
from tests.making import SHIP, TANK, make_store

ODD = {SHIP: "no", TANK: "Öl/tank, groß & <50 m>: 1"}
"""Id → a name that YAML takes for False, and one with blanks, a slash, a comma, a colon, markup and letters past ASCII."""


def odd_store(root: Path, count: int = 6) -> BuildReader:
    """As `make_store`, under other names."""
    make_store(root, count)
    run = orjson.loads((root / "run.json").read_bytes())
    for category in run["taxonomy"]:
        category["name"] = category["words"] = ODD.get(category["id"], category["name"])
    (root / "run.json").write_bytes(orjson.dumps(run))
    return BuildReader(root)


def crowded_store(root: Path, flag: str = "crowd") -> BuildReader:
    """One image whose second object is a crowd, or of another flag."""
    make_store(root, 1)
    for journal in root.rglob("samples.jsonl"):
        line = orjson.loads(journal.read_bytes())
        line["instances"][1]["flags"] = [flag]
        journal.write_bytes(orjson.dumps(line) + b"\n")
    return BuildReader(root)


def slanted_store(root: Path) -> BuildReader:
    """One image with a band that runs aslant into its upper left corner."""
    make_store(root, 1)
    mask = np.zeros((48, 48), np.uint8)
    cv2.line(mask, (-6, 4), (20, 12), 1, 7)
    for journal in root.rglob("samples.jsonl"):
        line = orjson.loads(journal.read_bytes())
        runs = find_runs(mask.astype(np.uint16))
        [box], [area] = tight_boxes(runs).tolist(), runs.areas().tolist()
        line["instances"] = [{**line["instances"][0], "id": 1, "box": box, "area": area, "rle": encode(mask > 0)}]
        journal.write_bytes(orjson.dumps(line) + b"\n")
    return BuildReader(root)


def write(store: LabelledDataset, out: Path, spec: ExportSpec) -> ExportSummary:
    [summary] = export(store, [spec], out, lambda _: None)
    return summary


def read(path: Path) -> npt.NDArray[np.uint8]:
    """What lies in a PNG or JPEG; colours as RGB."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None, path
    return np.asarray(found[..., ::-1] if found.ndim == 3 else found, dtype=np.uint8)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
