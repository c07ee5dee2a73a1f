"""COCO panoptic: the PNG against its JSON, and panoptic quality against the masters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from earthsynth_factory.exports.panoptic import PanopticSpec
from earthsynth_factory.store.reader import StoreReader
from tests.exports.stores import crowded_store, read, write
from tests.making import SHIP, TANK, WATER, make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreReader:
    return StoreReader(make_store(tmp_path_factory.mktemp("store")))


def test_every_segment_is_in_the_picture_with_its_area_and_box(store: StoreReader, tmp_path: Path) -> None:
    assert write(store, tmp_path, PanopticSpec()).notes == ()
    root, checked = tmp_path / "coco-panoptic", 0
    for split in store.splits:
        data = json.loads((root / "annotations" / f"panoptic_{split}.json").read_text())
        things = {category["id"]: category["isthing"] for category in data["categories"]}
        assert (things[SHIP], things[TANK], things[WATER]) == (1, 1, 0) and 0 not in things
        records = {record.slot + 1: record for record in store.samples() if record.split == split}
        assert {image["id"] for image in data["images"]} == set(records)
        for entry in data["annotations"]:
            record = records[entry["image_id"]]
            ids = read(root / f"panoptic_{split}" / entry["file_name"]).astype(np.int64) @ [1, 256, 65536]
            assert set(np.unique(ids)) - {0} == {segment["id"] for segment in entry["segments_info"]}
            for segment in entry["segments_info"]:
                inside = ids == segment["id"]
                rows, columns = np.nonzero(inside)
                x, y = columns.min(), rows.min()
                assert segment["bbox"] == [x, y, columns.max() - x + 1, rows.max() - y + 1]
                assert segment["area"] == inside.sum()
                assert (store.mask(record)[inside] == segment["category_id"]).all()
                assert segment["iscrowd"] == 0
                if things[segment["category_id"]]:
                    assert np.array_equal(inside, store.instances(record) == segment["id"])
                checked += 1
            assert np.array_equal(ids == 0, store.mask(record) == 0)
    assert checked == 5 * 4 + 1


def test_a_crowd_is_one_here_too(tmp_path: Path) -> None:
    write(crowded_store(tmp_path / "store"), tmp_path, PanopticSpec())
    data = json.loads((tmp_path / "coco-panoptic" / "annotations" / "panoptic_train.json").read_text())
    [entry] = data["annotations"]
    assert [segment["iscrowd"] for segment in entry["segments_info"]] == [0, 1, 0, 0]


def test_what_covering_costs_is_measured(tmp_path: Path) -> None:
    root = make_store(tmp_path / "store", 1)
    [journal] = root.rglob("samples.jsonl")
    line = orjson.loads(journal.read_bytes())
    line["instances"][0]["area"] *= 2  # as if half of it lay under another
    line["instances"].append({**line["instances"][0], "id": 99})
    journal.write_bytes(orjson.dumps(line) + b"\n")
    summary = write(StoreReader(root), tmp_path, PanopticSpec())
    assert summary.notes == (
        "objects that others cover, their seen part against the whole: mean IoU 0.5000, worst 0.5000 over 1 objects",
        "objects left out, others cover them whole: 1",
    )
