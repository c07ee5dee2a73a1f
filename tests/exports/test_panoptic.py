"""COCO panoptic: the PNG against its JSON, and panoptic quality against the masters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.panoptic import PanopticSpec
from tests.exports.stores import crowded_store, read, write
from tests.making import SHIP, TANK, WATER, make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return BuildReader(make_store(tmp_path_factory.mktemp("store")))


def test_every_segment_is_in_the_picture_with_its_area_and_box(store: BuildReader, tmp_path: Path) -> None:
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


def _quality(truth: list[tuple[Any, npt.NDArray[np.int64]]], found: list[npt.NDArray[np.int64]], of: int) -> float:
    """Panoptic quality of one category as Kirillov et al. (arXiv 1801.00868, eq. 1) define it.

    truth: per image its `segments_info` and segment map; found: maps of (category << 32) + object. Segments of one category
    with an overlap above a half match; void pixels of the truth count for nobody; a crowd is neither matched nor missed, and
    what lies mostly on void or on a crowd is no mistake.
    """
    overlaps, missed, wrong = [], 0, 0
    for (infos, ids), guess in zip(truth, found, strict=True):
        void = (ids == 0) | np.isin(ids, [one["id"] for one in infos if one["iscrowd"] and one["category_id"] == of])
        guesses = {int(number): guess == number for number in np.unique(guess) if number >> 32 == of}
        for one in infos:
            if one["category_id"] != of or one["iscrowd"]:
                continue
            inside = ids == one["id"]
            ious = {k: (m & inside).sum() / ((m & (ids != 0)) | inside).sum() for k, m in guesses.items()}
            best = max(ious, key=lambda number: ious[number], default=None)
            if best is not None and ious[best] > 0.5:
                overlaps.append(float(ious[best]))
                del guesses[best]
            else:
                missed += 1
        wrong += sum((mask & void).sum() <= mask.sum() / 2 for mask in guesses.values())
    counted = len(overlaps) + missed / 2 + wrong / 2
    return sum(overlaps) / counted if counted else 1.0


def _masters(store: BuildReader, split: str) -> list[npt.NDArray[np.int64]]:
    """What a perfect model would say: objects by their master's number, land cover one segment a class."""
    return [
        (store.mask(one).astype(np.int64) << 32) + store.instances(one) for one in store.samples() if one.split == split
    ]


def test_the_masters_score_one_and_a_shifted_copy_does_not(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, PanopticSpec())
    root = tmp_path / "coco-panoptic"
    for split in store.splits:
        data = json.loads((root / "annotations" / f"panoptic_{split}.json").read_text())
        folder = root / f"panoptic_{split}"
        truth = [
            (one["segments_info"], read(folder / one["file_name"]).astype(np.int64) @ [1, 256, 65536])
            for one in data["annotations"]
        ]
        found = _masters(store, split)
        for category in (SHIP, TANK, WATER):
            assert _quality(truth, found, category) == 1.0
            assert 0 <= _quality(truth, [np.roll(guess, 3, axis=1) for guess in found], category) < 0.95


def test_a_model_that_parts_a_crowd_loses_nothing(tmp_path: Path) -> None:
    store = crowded_store(tmp_path / "store")
    write(store, tmp_path, PanopticSpec())
    root = tmp_path / "coco-panoptic"
    [one] = json.loads((root / "annotations" / "panoptic_train.json").read_text())["annotations"]
    ids = read(root / "panoptic_train" / one["file_name"]).astype(np.int64) @ [1, 256, 65536]
    [crowd] = [segment for segment in one["segments_info"] if segment["iscrowd"]]
    [guess] = _masters(store, "train")
    guess[:, :10] += np.where(ids[:, :10] == crowd["id"], 99, 0)
    assert _quality([(one["segments_info"], ids)], [guess], crowd["category_id"]) == 1.0
    crowd["iscrowd"] = 0
    assert _quality([(one["segments_info"], ids)], [guess], crowd["category_id"]) < 1.0


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
    summary = write(BuildReader(root), tmp_path, PanopticSpec())
    assert summary.notes == (
        "objects that others cover, their seen part against the whole: mean IoU 0.5000, worst 0.5000 over 1 objects",
        "objects left out, others cover them whole: 1",
    )
