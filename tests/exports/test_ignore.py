"""What nobody knows is ignored from the source to the last export: never background, never a class, never an object."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from earthsynth_factory.conditions.base import SourceContext
from earthsynth_factory.conditions.masks.folder import FolderSpec, MaskFolder
from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.merged import Merged
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.datasets.views import OfClasses
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.taxonomy import IGNORE, earthsynth
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.exports.coco import CocoSpec
from earthsynth_factory.exports.earthsynth import EarthSynthSpec
from earthsynth_factory.exports.gsnet import GsnetSpec
from earthsynth_factory.exports.panoptic import PanopticSpec
from earthsynth_factory.exports.prepared import PreparedSpec
from earthsynth_factory.exports.semantic import SemanticSpec
from earthsynth_factory.exports.yolo import YoloDetectSpec
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.models.control_image import control_lut
from earthsynth_factory.report.statistics import statistics
from earthsynth_factory.training.iou import confusion, ious
from tests.exports.stores import write
from tests.importers import layouts
from tests.io.test_pictures import tif

SIDE, SHIP, PLANE = 64, 17, 16


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Columns: 0–15 transparent, 16–31 a crowd of planes with a ship on it, a ship at 40–47, a ship left out by the map."""
    root = tmp_path_factory.mktemp("ignore")
    alpha = np.where(np.arange(SIDE) < 16, 0, 255).astype(np.uint8) * np.ones((SIDE, 1), np.uint8)
    (root / "in" / "images").mkdir(parents=True)
    scene = np.dstack([np.full((SIDE, SIDE, 3), 90, np.uint8), alpha])
    tif(root / "in/images/a.tif", scene, ["red", "green", "blue", "alpha"])
    crowd = np.zeros((SIDE, SIDE), np.uint8)
    crowd[:, 16:32] = 1
    boxes = [(1, [40, 8, 8, 8]), (1, [20, 20, 6, 6]), (3, [52, 8, 8, 8]), (1, [10, 40, 12, 4])]
    drawn: list[dict[str, object]]
    drawn = [{"category_id": c, "bbox": box, "segmentation": [], "iscrowd": 0} for c, box in boxes]
    drawn.append({"category_id": 2, "bbox": [16, 0, 16, 64], "segmentation": layouts.rle(crowd), "iscrowd": 1})
    annotations = [{"id": number, "image_id": 1, **one} for number, one in enumerate(drawn, start=1)]
    names = [{"id": 1, "name": "ship"}, {"id": 2, "name": "plane"}, {"id": 3, "name": "buoy"}]
    images = [{"id": 1, "file_name": "images/a.tif", "height": SIDE, "width": SIDE}]
    document = {"images": images, "categories": names, "annotations": annotations}
    layouts.text(root / "in" / "a.json", json.dumps(document))
    layouts.text(root / "map.yaml", "buoy: ignore\n")
    options = PrepareOptions("coco", CropRules(0), keep_empty=1.0, map=root / "map.yaml", workers=1)
    prepare(root / "in", root / "out", options)
    return PreparedDataset(root / "out")


def mask_of(dataset: LabelledDataset) -> np.ndarray:
    [record] = dataset.samples()
    return dataset.mask(record)


def files(dataset: LabelledDataset, spec: ExportSpec, out: Path) -> Path:
    write(dataset, out, spec)
    return out / spec.kind


def picture(folder: Path, pattern: str) -> np.ndarray:
    [path] = folder.rglob(pattern)
    return np.asarray(PIL.Image.open(path))


def test_masks_say_what_is_not_known(dataset: PreparedDataset) -> None:
    mask = mask_of(dataset)
    assert (mask[:, :16] == IGNORE).all(), "no picture"
    crowd = mask[:, 16:32].copy()
    assert (crowd[20:26, 4:10] == SHIP).all(), "an object on a crowd is known"
    crowd[20:26, 4:10], crowd[40:44, :6] = IGNORE, IGNORE
    assert (crowd == IGNORE).all()
    assert (mask[8:16, 52:60] == IGNORE).all(), "left out by the map as unknown"
    assert (mask[8:16, 40:48] == SHIP).all() and (mask[30:, 40:] == 0).all()
    [record] = dataset.samples()
    assert record.classes == (SHIP,)
    assert sorted((one.category, one.flags) for one in record.instances) == [(PLANE, ("crowd",)), *[(SHIP, ())] * 3]
    assert not dataset.instances(record)[mask == IGNORE].any()
    counts = json.loads((dataset.root / "dataset.json").read_text())["counts"]
    assert set(counts["pixels"]) == {"background", "ship"} and counts["ignored"] == int((mask == IGNORE).sum())


def test_exports_have_it_each_in_its_own_way(dataset: PreparedDataset, tmp_path: Path) -> None:
    unknown = mask_of(dataset) == IGNORE
    semantic = picture(files(dataset, SemanticSpec(), tmp_path / "s"), "ann_dir/*/*.png")
    np.testing.assert_array_equal(semantic == 255, unknown)
    np.testing.assert_array_equal(picture(files(dataset, GsnetSpec(), tmp_path / "g"), "GT_ID/*.png") == 255, unknown)
    void = (picture(files(dataset, PanopticSpec(), tmp_path / "p"), "panoptic_train/*.png") == 0).all(axis=2)
    assert void[unknown].all()
    coco = json.loads((files(dataset, CocoSpec(), tmp_path / "c") / "annotations/instances_train.json").read_text())
    assert [one["category_id"] for one in coco["annotations"] if one["iscrowd"]] == [PLANE]
    yolo = files(dataset, YoloDetectSpec(), tmp_path / "y")
    assert len((yolo / "labels/train/a.txt").read_text().splitlines()) == 3
    shown = picture(files(dataset, EarthSynthSpec(), tmp_path / "e"), "masks/*.png")
    assert set(np.unique(shown)) == {0, SHIP}, "EarthSynth's layout has no word for it"


def test_views_merges_and_our_own_layout_keep_it(dataset: PreparedDataset, tmp_path: Path) -> None:
    unknown = mask_of(dataset) == IGNORE
    np.testing.assert_array_equal(mask_of(OfClasses(dataset, ["plane"])) == IGNORE, unknown)
    np.testing.assert_array_equal(mask_of(Merged([dataset])) == IGNORE, unknown)
    again = PreparedDataset(files(dataset, PreparedSpec(), tmp_path))
    np.testing.assert_array_equal(mask_of(again), mask_of(dataset))
    [before], [after] = list(dataset.samples()), list(again.samples())
    assert [one.given for one in before.instances] == [one.given for one in after.instances]


def test_statistics_and_scores_leave_it_out(dataset: PreparedDataset) -> None:
    [ship] = statistics(dataset, lambda _: None)
    mask = mask_of(dataset)
    assert ship.category.id == SHIP and ship.pixels == pytest.approx((mask == SHIP).sum() / (mask != IGNORE).sum())
    seen = np.full((1, SIDE, SIDE), SHIP, np.uint8)
    seen[mask[None] != SHIP] = 0
    seen[mask[None] == IGNORE] = PLANE
    assert ious(confusion(mask[None], seen, np.array([True]), ())) == {SHIP: 1.0}


def test_conditions_hold_it_and_no_model_sees_it(dataset: PreparedDataset, tmp_path: Path) -> None:
    context = SourceContext(earthsynth(), PromptWriter(earthsynth()), {"train": 1.0}, 1, tmp_path, tmp_path)
    folder = MaskFolder(FolderSpec(path=str(dataset.root)), context)
    [item] = folder.items
    assert item.categories == (SHIP,)
    pixels = folder.read(item)
    condition = Condition(pixels.mask, pixels.instances, "", 0.5, 0, Origin("made", "a"))
    assert condition.classes() == [SHIP]
    for control in ("class-id", "palette"):
        card = ModelCard.model_validate({"name": "any", "control": control, "native_size": 64})
        lut = control_lut(card, earthsynth())
        assert (lut[IGNORE] == lut[0]).all() and not (lut[SHIP] == lut[0]).all()
