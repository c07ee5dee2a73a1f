"""YOLO in its three forms, read by supervision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision
from pycocotools import mask as coco

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.exports.yolo import YoloDetectSpec, YoloObbSpec, YoloSegmentSpec
from earthsynth_factory.geometry.boxes import clockwise, oriented_box
from earthsynth_factory.geometry.convex import convex_iou
from tests.exports.stores import ODD, crowded_store, odd_store, slanted_store, write
from tests.making import make_store

FORMS = [YoloDetectSpec(), YoloSegmentSpec(), YoloObbSpec()]


def _supervised(root: Path, split: str, **how: bool) -> supervision.DetectionDataset:
    return supervision.DetectionDataset.from_yolo(
        str(root / "images" / split), str(root / "labels" / split), str(root / "data.yaml"), **how
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return odd_store(tmp_path_factory.mktemp("store") / "odd")


@pytest.mark.parametrize("spec", FORMS, ids=lambda spec: spec.kind)
def test_classes_and_counts_come_back_and_negatives_have_no_file(
    store: BuildReader, tmp_path: Path, spec: ExportSpec
) -> None:
    summary = write(store, tmp_path, spec)
    root = tmp_path / spec.kind
    assert summary.counts == {"train": 4, "val": 2}
    for split in store.splits:
        data = _supervised(root, split, is_obb=spec.kind == "yolo-obb")
        assert data.classes == list(ODD.values())
        records = {record.stem: record for record in store.samples() if record.split == split}
        assert {Path(path).stem for path, _, _ in data} == set(records)
        for path, _, found in data:
            record = records[Path(path).stem]
            names = [data.classes[number] for number in found.class_id]
            assert names == [ODD[instance.category] for instance in record.instances]
            assert (root / "labels" / split / f"{record.stem}.txt").exists() == bool(record.instances)


def test_boxes_come_back(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, YoloDetectSpec())
    data = _supervised(tmp_path / "yolo-detect", "train")
    truth = {record.stem: record for record in store.samples()}
    for path, _, found in data:
        boxes = np.array([instance.box for instance in truth[Path(path).stem].instances]).reshape(-1, 4)
        assert found.xyxy.reshape(-1, 4) == pytest.approx(
            np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]), abs=1e-3
        )


def test_masks_come_back_with_holes_and_parts(store: BuildReader, tmp_path: Path) -> None:
    summary = write(store, tmp_path, YoloSegmentSpec())
    assert (summary.figures["mean_iou"], summary.figures["worst_iou"]) == (1.0, 1.0)
    for record, instance, points in _lines(store, tmp_path / "yolo-segment"):
        runs = coco.merge(coco.frPyObjects([points.ravel().tolist()], record.height, record.width))
        np.testing.assert_array_equal(coco.decode(runs).astype(bool), store.instances(record) == instance.id)


def test_outlines_have_the_boxes_of_their_objects(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, YoloSegmentSpec())
    for _, instance, points in _lines(store, tmp_path / "yolo-segment"):
        left, top = points.min(axis=0)
        right, bottom = points.max(axis=0)
        assert (left, top, right - left, bottom - top) == pytest.approx(instance.box, abs=1e-3)


def test_readers_that_draw_the_line_add_no_more_than_a_pixel(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, YoloSegmentSpec())
    truth = {record.stem: record for record in store.samples()}
    for path, _, found in _supervised(tmp_path / "yolo-segment", "train", force_masks=True):
        record = truth[Path(path).stem]
        for instance, mask in zip(record.instances, found.mask if len(found) else [], strict=True):
            whole = store.instances(record) == instance.id
            near = cv2.dilate(whole.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
            assert not (whole & ~mask).any()
            # The cut between two parts is drawn too.
            assert not (mask & ~near).any() or cv2.connectedComponents(whole.astype(np.uint8))[0] > 2


def _lines(store: BuildReader, root: Path) -> Iterator[tuple[SampleRecord, Instance, np.ndarray]]:
    """Every object with the points (k, 2) of its line, in pixels."""
    for record in store.samples():
        file = root / "labels" / record.split / f"{record.stem}.txt"
        lines = file.read_text().splitlines() if file.is_file() else []
        for instance, line in zip(record.instances, lines, strict=True):
            points = np.array(line.split()[1:], float).reshape(-1, 2) * (record.width, record.height)
            yield record, instance, points


def test_rectangles_are_the_smallest(store: BuildReader, tmp_path: Path) -> None:
    summary = write(store, tmp_path, YoloObbSpec())
    truth = {record.stem: record for record in store.samples()}
    for path, _, found in _supervised(tmp_path / "yolo-obb", "train", is_obb=True):
        record = truth[Path(path).stem]
        corners = found.data["xyxyxyxy"] if len(found) else []
        for instance, read in zip(record.instances, corners, strict=True):
            wanted = oriented_box(store.instances(record) == instance.id)
            assert convex_iou(np.asarray(read, dtype=np.float64), clockwise(wanted)) > 0.999
    assert summary.notes == (), "upright objects do not leave the image"


def test_a_rectangle_that_leaves_the_image_is_kept_inside_it(tmp_path: Path) -> None:
    store = slanted_store(tmp_path / "store")
    summary = write(store, tmp_path, YoloObbSpec())
    [text] = (tmp_path / "yolo-obb" / "labels").rglob("*.txt")
    numbers = np.array(text.read_text().split()[1:], dtype=float)
    assert numbers.min() >= 0 and numbers.max() <= 1 and len(numbers) == 8
    assert summary.notes[0].startswith("rectangles that leave the image, as written against their part inside it: mean")
    assert 0.5 < summary.figures["worst_iou"] < 1


def test_a_crowd_is_left_out_and_counted(tmp_path: Path) -> None:
    summary = write(crowded_store(tmp_path / "store"), tmp_path, YoloDetectSpec())
    assert summary.notes[0] == "crowd regions left out, YOLO has none: 1"
    [text] = (tmp_path / "yolo-detect" / "labels").rglob("*.txt")
    assert len(text.read_text().splitlines()) == 2


def test_what_is_difficult_is_counted(tmp_path: Path) -> None:
    summary = write(crowded_store(tmp_path / "store", "difficult"), tmp_path, YoloDetectSpec())
    assert summary.notes[0] == "objects marked difficult, for which YOLO has no word: 1"
    [text] = (tmp_path / "yolo-detect" / "labels").rglob("*.txt")
    assert len(text.read_text().splitlines()) == 3


def test_a_missing_split_is_said(tmp_path: Path) -> None:
    store = BuildReader(make_store(tmp_path / "store", 2))
    store.__dict__["run"] = store.run.model_copy(update={"splits": ("train",)})
    summary = write(store, tmp_path, YoloDetectSpec())
    assert summary.notes == ("no split 'val': data.yaml gives 'train' in its place",)
    assert '"val": "images/train"' in (tmp_path / "yolo-detect" / "data.yaml").read_text()
