"""A class has one number, whichever splits are exported."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.views import OfSplits
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.exports.imagefolder import ImageFolderSpec
from earthsynth_factory.exports.odvg import OdvgSpec
from earthsynth_factory.exports.parquet import ParquetSpec
from earthsynth_factory.exports.semantic import SemanticSpec
from earthsynth_factory.exports.yolo import YoloDetectSpec
from tests.exports.stores import write
from tests.making import SHIP, make_store


@pytest.fixture
def store(tmp_path: Path) -> BuildReader:
    """`val` alone has ships, and nobody asked for any class."""
    root = make_store(tmp_path / "store")
    run = orjson.loads((root / "run.json").read_bytes())
    (root / "run.json").write_bytes(orjson.dumps({**run, "targets": []}))
    for journal in root.rglob("samples.jsonl"):
        lines = [orjson.loads(line) for line in journal.read_bytes().splitlines()]
        for line in (line for line in lines if line["split"] == "train"):
            line["category"] = None
            line["classes"] = [category for category in line["classes"] if category != SHIP]
            line["instances"] = [one for one in line["instances"] if one["category"] != SHIP]
        journal.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return BuildReader(root)


def _semantic(out: Path) -> object:
    return json.loads((out / "semantic" / "classes.json").read_text())["classes"]


def _yolo(out: Path) -> object:
    return (out / "yolo-detect" / "data.yaml").read_text().partition("names:")[2]


def _odvg(out: Path) -> object:
    return json.loads((out / "odvg" / "annotations" / "label_map.json").read_text())


def _parquet(out: Path) -> object:
    return (out / "hf-parquet" / "README.md").read_text().partition("## Classes")[2]


@pytest.mark.parametrize(
    ("spec", "numbered"),
    [(SemanticSpec(), _semantic), (YoloDetectSpec(), _yolo), (OdvgSpec(), _odvg), (ParquetSpec(), _parquet)],
)
def test_a_split_alone_numbers_classes_as_all_of_them(
    store: BuildReader, tmp_path: Path, spec: ExportSpec, numbered: object
) -> None:
    assert callable(numbered)
    write(store, tmp_path / "all", spec)
    for split in store.splits:
        write(OfSplits(store, [split]), tmp_path / split, spec)
        assert numbered(tmp_path / split) == numbered(tmp_path / "all")
        assert "ship" in str(numbered(tmp_path / split))


def test_a_split_alone_has_a_folder_for_every_class(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path / "all", ImageFolderSpec())
    write(OfSplits(store, ["train"]), tmp_path / "train", ImageFolderSpec())
    folders = [
        sorted(path.name for path in (tmp_path / name / "imagefolder" / "train").iterdir()) for name in ("all", "train")
    ]
    assert folders[0] == folders[1] and "ship" in folders[1]
