"""ODVG by the rules of mmdetection's loader: labels through the map, boxes of a pixel at least and inside, spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.domain.taxonomy import earthsynth, make_category
from earthsynth_factory.exports.odvg import OdvgSpec, grounded
from tests.exports.stores import ODD, crowded_store, odd_store, write


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return odd_store(tmp_path_factory.mktemp("store") / "odd")


def _lines(root: Path, split: str, form: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "annotations" / f"{split}_{form}.json").read_text().splitlines()]


def _usable(box: list[int], line: dict[str, Any]) -> bool:
    left, top, right, bottom = box
    return 0 <= left < right <= line["width"] and 0 <= top < bottom <= line["height"]


def test_both_forms_hold_every_image_and_every_object(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, OdvgSpec())
    root = tmp_path / "odvg"
    label_map = json.loads((root / "annotations" / "label_map.json").read_text())
    assert label_map == {str(number): name for number, name in enumerate(ODD.values())}
    for split in store.splits:
        records = [record for record in store.samples() if record.split == split]
        for record, od, vg in zip(records, _lines(root, split, "od"), _lines(root, split, "vg"), strict=True):
            assert (root / split / od["filename"]).is_file() and od["filename"] == vg["filename"]
            found = od["detection"]["instances"]
            assert [label_map[str(item["label"])] for item in found] == [ODD[i.category] for i in record.instances]
            assert all(label_map[str(item["label"])] == item["category"] for item in found)
            wanted = sorted([x, y, x + w, y + h] for x, y, w, h in (i.box for i in record.instances))
            assert sorted(item["bbox"] for item in found) == wanted
            regions = vg["grounding"]["regions"]
            assert sorted(box for region in regions for box in region["bbox"]) == wanted
            assert all(_usable(box, od) for box in wanted)
            for region in regions:
                [[start, end]] = region["tokens_positive"]
                assert vg["grounding"]["caption"][start:end] == region["phrase"] in ODD.values()


def test_classes_that_a_prompt_does_not_name_are_added_and_counted(store: BuildReader, tmp_path: Path) -> None:
    summary = write(store, tmp_path, OdvgSpec())
    assert summary.notes == ("captions to which classes were added that the prompt does not name: 5",)
    captions = {line["grounding"]["caption"] for line in _lines(tmp_path / "odvg", "train", "vg")}
    negative = "A satellite image of water"
    assert captions == {negative, f"{negative}, {ODD[25]}, {ODD[17]}"}


def test_a_crowd_is_left_out_and_counted(tmp_path: Path) -> None:
    summary = write(crowded_store(tmp_path / "store"), tmp_path, OdvgSpec())
    assert "crowd regions left out, ODVG has none: 1" in summary.notes
    [line] = _lines(tmp_path / "odvg", "train", "od")
    assert len(line["detection"]["instances"]) == 2


def test_a_longer_name_is_not_taken_for_a_shorter_one() -> None:
    taxonomy = earthsynth()
    caption = "A satellite image of small vehicle, vehicle, Ship"
    same, spans = grounded(caption, [taxonomy[38], taxonomy[21], taxonomy[17]])
    assert same == caption
    assert {category: caption[start:end] for category, (start, end) in spans.items()} == {
        38: "vehicle",
        21: "small vehicle",
        17: "Ship",
    }
    assert spans[38][0] > spans[21][1]


def test_a_name_inside_a_word_or_with_marks_of_patterns_is_no_match() -> None:
    caption, spans = grounded("ships (a)", [earthsynth()[17], make_category(90, "(a)")])
    assert caption == "ships (a), ship"
    assert spans == {17: (11, 15), 90: (6, 9)}
