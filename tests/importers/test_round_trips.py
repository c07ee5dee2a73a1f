"""What we write comes back: every export that holds labels, recognised for what it is, with the same objects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.exports.write import export
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from earthsynth_factory.recipe.load import export_blocks
from tests.importers import layouts

WHOLE = PrepareOptions(rules=CropRules(0), keep_empty=1.0, workers=1)
EXPORTS = {
    "coco": "coco",
    "yolo-detect": "yolo",
    "yolo-segment": "yolo",
    "yolo-obb": "yolo",
    "voc": "voc",
    "dota": "dota",
    "odvg": "odvg",
    "coco-panoptic": "coco-panoptic",
    "prepared": "prepared",
}
"""Export → the kind it is read as."""

MASKS = {"semantic": "masks", "earthsynth": "earthsynth-180k", "gsnet": "landdiscover50k"}


def boxes(folder: Path) -> dict[str, list[tuple[str, tuple[int, int, int, int]]]]:
    dataset = PreparedDataset(folder)
    return {
        record.stem: sorted((dataset.taxonomy[one.category].name, one.box) for one in record.instances)
        for record in dataset.samples()
    }


def source(tmp_path: Path) -> Path:
    """Upright boxes, so that every form holds them to the pixel, and an image without any."""
    document = layouts.coco_document()
    upright = [document["annotations"][0], document["annotations"][3]]
    images = [*document["images"], {"id": 9, "file_name": "b.png", "height": layouts.H, "width": layouts.W}]
    folder = layouts.coco_folder(tmp_path / "in", {**document, "images": images, "annotations": upright})
    layouts.image(folder / "images" / "b.png", 5)
    prepare(folder, tmp_path / "first", WHOLE)
    return tmp_path / "first"


@pytest.mark.parametrize("kind", [*EXPORTS, *MASKS])
def test_own_exports_come_back(kind: str, tmp_path: Path) -> None:
    first = source(tmp_path)
    export(PreparedDataset(first), export_blocks([kind], []), tmp_path / "out", lambda _: None)
    summary = prepare(tmp_path / "out" / kind, tmp_path / "again", WHOLE)
    assert summary.kind == (EXPORTS | MASKS)[kind]
    assert summary.problems == 0
    again = PreparedDataset(tmp_path / "again")
    assert set(again.about.items) == {"a", "b"}, "stems do not grow"
    if kind in EXPORTS:
        assert boxes(tmp_path / "again") == boxes(first)
    for stem in ("a", "b"):
        given = PreparedDataset(first).read_mask(stem)
        # Panoptic's void is both what is background and what nobody knows; it is read as the latter.
        wanted = np.where(given == 0, np.uint8(255), given) if kind == "coco-panoptic" else given
        assert (again.read_mask(stem) == wanted).all()


def test_prepared_data_can_be_cut_anew(tmp_path: Path) -> None:
    first = source(tmp_path)
    prepare(first, tmp_path / "cut", PrepareOptions(rules=CropRules(32, 0.25), keep_empty=1.0, workers=1))
    items = json.loads((tmp_path / "cut" / "dataset.json").read_text())["items"]
    assert len(items) == 2 * 3 * 4
    assert {item["group"] for item in items.values()} == {
        item.group for item in PreparedDataset(first).about.items.values()
    }
