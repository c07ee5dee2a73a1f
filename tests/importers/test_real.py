"""The real samples, where they are present: pixel-exact truth of each published layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from tests.conditions.folders import shared
from tests.importers.choosing import chosen

WHOLE = PrepareOptions(rules=CropRules(0), keep_empty=1.0, workers=1)


def read(tmp_path: Path, *parts: str) -> PreparedDataset:
    prepare(shared(*parts), tmp_path / "out", WHOLE)
    return PreparedDataset(tmp_path / "out")


def raw(*parts: str) -> np.ndarray:
    return cv2.imread(str(shared(*parts)), cv2.IMREAD_UNCHANGED)


def counts(dataset: PreparedDataset) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in dataset.samples():
        for one in record.instances:
            name = dataset.taxonomy[one.category].name
            found[name] = found.get(name, 0) + 1
    return found


def test_loveda(tmp_path: Path) -> None:
    mask = read(tmp_path, "formats", "loveda").read_mask("LD_0")
    published = raw("formats", "loveda", "Train", "Urban", "masks_png", "0.png")
    table = np.array([255, 0, 8, 4, 6, 10, 9, 7], np.uint8)
    np.testing.assert_array_equal(mask, table[published])


def test_deepglobe_land_cover(tmp_path: Path) -> None:
    mask = read(tmp_path, "formats", "deepglobe-landcover").read_mask("DG_119")
    published = raw("formats", "deepglobe-landcover", "train", "119_mask.png")[..., ::-1]
    for colour, category in {(0, 255, 255): 11, (255, 255, 0): 7, (255, 0, 255): 67, (0, 0, 255): 6}.items():
        np.testing.assert_array_equal(mask == category, (published == colour).all(-1))


def test_deepglobe_road(tmp_path: Path) -> None:
    mask = read(tmp_path, "formats", "deepglobe-road").read_mask("DG_1945")
    published = raw("formats", "deepglobe-road", "train", "1945_mask.png")[..., 0]
    np.testing.assert_array_equal(mask == 4, published >= 128)


def test_isaid_instances_are_the_colours_of_the_instance_image(tmp_path: Path) -> None:
    dataset = read(tmp_path, "formats", "isaid")
    published = raw("formats", "isaid", "train", "Instance_masks", "images", "P0003_instance_id_RGB.png")
    colours = np.unique(published.reshape(-1, 3), axis=0)
    assert sum(counts(dataset).values()) == len(colours) - 1
    assert counts(dataset)["large vehicle"] > 20


def test_dota_and_isaid_agree_on_their_common_scene(tmp_path: Path) -> None:
    dota = read(tmp_path / "d", "formats", "dota")
    lines = shared("formats", "dota", "labelTxt", "P0003.txt").read_text().splitlines()[2:]
    assert sum(counts(dota).values()) == len(lines)
    assert dota.about.items["DOTA_P0003"].metres_per_pixel == pytest.approx(0.115726939386)
    isaid = read(tmp_path / "i", "formats", "isaid").read_mask("iSAID_P0003")
    boxes = dota.read_mask("DOTA_P0003")
    inside = (boxes == 12) & (isaid == 12)
    assert inside.sum() / (isaid == 12).sum() > 0.8


def test_dior_oriented(tmp_path: Path) -> None:
    dataset = read(tmp_path, "formats", "dior")
    [field] = next(dataset.samples()).instances
    assert dataset.taxonomy[field.category].name == "golf field"
    assert field.box == (133, 237, 551, 435)


def test_nwpu_objects_are_those_that_pycocotools_counts(tmp_path: Path) -> None:
    source = shared("nwpu-vhr10")
    assert chosen(source)[0].kind == "nwpu"
    dataset = read(tmp_path, "nwpu-vhr10")
    theirs = COCO(str(source / "annotations" / "instances_train.json"))
    wanted = {f"nwpu_{Path(image['file_name']).stem}": image["id"] for image in theirs.imgs.values()}
    for record in list(dataset.samples())[::40]:
        areas = sorted(int(theirs.annToMask(a).sum()) for a in theirs.imgToAnns[wanted[record.stem]])
        assert sorted(one.area for one in record.instances) == areas


@pytest.mark.parametrize(("folder", "kind"), [("dubai", "dubai"), ("kit-ais", "kit_ais"), ("gid-mtl5", "gid")])
def test_auto_knows_the_four_sets(folder: str, kind: str) -> None:
    assert chosen(shared(folder))[0].kind == kind
