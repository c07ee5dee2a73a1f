"""The four sources, each as a tiny imitation made here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers import IMPORTERS
from earthsynth_factory.importers.base import read_mask
from earthsynth_factory.importers.nwpu import NOMINAL_METRES_PER_PIXEL


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def _document(target: Path) -> dict:
    return json.loads((target / "dataset.json").read_text())


def _dubai(source: Path, colour: tuple[int, int, int]) -> None:
    for tile in ("Tile 1", "Tile 2"):
        mask = np.zeros((8, 8, 3), np.uint8)
        mask[:, :4] = colour
        mask[:, 4:6] = (0x6E, 0xC1, 0xE4)
        _write(source / tile / "masks" / "image_part_001.png", mask[..., ::-1])
        _write(source / tile / "images" / "image_part_001.jpg", np.full((8, 8, 3), 90, np.uint8))


def test_dubai_colours_become_ids_and_tiles_become_groups(tmp_path: Path) -> None:
    _dubai(tmp_path / "in", (0x3C, 0x10, 0x98))
    summary = IMPORTERS["dubai"].run(tmp_path / "in", tmp_path / "out")
    mask = read_mask(tmp_path / "out" / "masks" / "tile1_part_001.png")
    assert mask[0].tolist() == [8, 8, 8, 8, 4, 4, 0, 0]
    items = _document(tmp_path / "out")["items"]
    assert {stem: item["split"] for stem, item in items.items()} == {
        "tile1_part_001": "train",
        "tile2_part_001": "test",
    }
    assert items["tile1_part_001"]["group"] == "Tile 1"
    assert summary.pixels[8] == 2 * 32


def test_dubai_refuses_a_colour_without_a_class(tmp_path: Path) -> None:
    _dubai(tmp_path / "in", (1, 2, 3))
    with pytest.raises(SourceError, match="colours #010203 stand for no class"):
        IMPORTERS["dubai"].run(tmp_path / "in", tmp_path / "out")


def test_gid_label_zero_is_urban_land_and_five_is_background(tmp_path: Path) -> None:
    _write(tmp_path / "in" / "labels" / "a_1.png", np.array([[0, 1, 2], [3, 4, 5]], np.uint8))
    _write(tmp_path / "in" / "images" / "a_1.jpg", np.zeros((2, 3, 3), np.uint8))
    IMPORTERS["gid"].run(tmp_path / "in", tmp_path / "out")
    assert read_mask(tmp_path / "out" / "masks" / "a_1.png").tolist() == [[11, 7, 9], [2, 6, 0]]
    assert _document(tmp_path / "out")["dense"] is True


def test_gid_refuses_another_edition(tmp_path: Path) -> None:
    _write(tmp_path / "in" / "labels" / "a_1.png", np.full((2, 2), 9, np.uint8))
    with pytest.raises(SourceError, match="label 9 is above 5"):
        IMPORTERS["gid"].run(tmp_path / "in", tmp_path / "out")


def _kit(source: Path, lines: str) -> None:
    _write(source / "MOS155.jpg", np.zeros((40, 80, 3), np.uint8))
    (source / "MOS155.txt").write_text(lines)
    (source / "classes.txt").write_text("car\ntruck\nbus\nminibus\ncyclist\n")


def test_kit_boxes_become_instances_and_cyclists_are_counted_out(tmp_path: Path) -> None:
    _kit(tmp_path / "in", "0 0.25 0.5 0.25 0.25\n2 0.75 0.5 0.25 0.5\n4 0.5 0.1 0.1 0.1\n")
    summary = IMPORTERS["kit_ais"].run(tmp_path / "in", tmp_path / "out")
    mask = read_mask(tmp_path / "out" / "masks" / "mos155.png")
    instances = cv2.imread(str(tmp_path / "out" / "instances" / "mos155.png"), cv2.IMREAD_UNCHANGED)
    assert (mask[20, 20], mask[20, 60], mask[4, 40]) == (21, 12, 0)
    assert instances.dtype == np.uint16
    assert set(np.unique(instances).tolist()) == {0, 1, 2}
    columns = np.flatnonzero((mask == 21).any(axis=0))
    assert (columns[0], columns[-1]) == (10, 29)
    assert summary.left_out == {"cyclist: no category": 1}


def test_kit_names_the_line_it_cannot_read(tmp_path: Path) -> None:
    _kit(tmp_path / "in", "0 0.25 0.5 0.25 0.25\n9 0 0 1 1\n")
    with pytest.raises(SourceError, match=r"MOS155\.txt:2: '9 0 0 1 1'"):
        IMPORTERS["kit_ais"].run(tmp_path / "in", tmp_path / "out")


def _nwpu(source: Path) -> None:
    square = [10, 10, 34, 10, 34, 20, 10, 20]
    annotations = [
        {"id": 0, "image_id": 1, "category_id": 5, "segmentation": [square], "area": 240},
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[40, 30, 70, 30, 70, 70, 40, 70]], "area": 1},
        {"id": 2, "image_id": 2, "category_id": 1, "segmentation": [square], "area": 240},
    ]
    names = {1: "airplane", 5: "tennis_court"}
    images = [(1, "001.jpg"), (2, "002.jpg"), (3, "400.jpg")]
    document = {
        "images": [{"id": i, "file_name": name, "height": 48, "width": 64} for i, name in images],
        "categories": [{"id": i, "name": name} for i, name in names.items()],
        "annotations": annotations,
    }
    for _, name in images:
        _write(source / "imgs" / name, np.zeros((48, 64, 3), np.uint8))
    (source / "annotations").mkdir()
    (source / "annotations" / "instances_train.json").write_text(json.dumps(document))


def test_nwpu_fills_polygons_clips_them_and_leaves_infrared_out(tmp_path: Path) -> None:
    _nwpu(tmp_path / "in")
    summary = IMPORTERS["nwpu"].run(tmp_path / "in", tmp_path / "out")
    mask = read_mask(tmp_path / "out" / "masks" / "nwpu_001.png")
    assert (mask[15, 20], mask[47, 63], mask[0, 0]) == (23, 16, 0)
    assert summary.left_out == {"infrared image": 1}
    assert summary.instances == {16: 2, 23: 1}


def test_nwpu_measures_the_scale_by_courts(tmp_path: Path) -> None:
    _nwpu(tmp_path / "in")
    IMPORTERS["nwpu"].run(tmp_path / "in", tmp_path / "out")
    items = _document(tmp_path / "out")["items"]
    assert items["nwpu_001"]["metres_per_pixel"] == pytest.approx(1.0)  # a court of 24 m drawn 24 pixels long
    assert items["nwpu_002"]["metres_per_pixel"] == NOMINAL_METRES_PER_PIXEL


def test_a_second_import_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    _nwpu(tmp_path / "in")
    IMPORTERS["nwpu"].run(tmp_path / "in", tmp_path / "out")
    with pytest.raises(SourceError, match="already holds a dataset"):
        IMPORTERS["nwpu"].run(tmp_path / "in", tmp_path / "out")
