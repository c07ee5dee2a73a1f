"""DOTA and VOC: read field by field, and VOC by supervision and torchvision."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
import supervision
from torchvision.datasets import VOCDetection

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.exports.dota import DotaSpec
from earthsynth_factory.exports.voc import VocSpec
from earthsynth_factory.geometry.boxes import clockwise, oriented_box
from earthsynth_factory.geometry.convex import convex_iou
from earthsynth_factory.io.stored import StoredFile
from tests.exports.stores import ODD, crowded_store, odd_store, write
from tests.making import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return odd_store(tmp_path_factory.mktemp("store") / "odd")


def test_dota_lines_are_rectangles_clockwise_in_pixels(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, DotaSpec())
    names = json.loads((tmp_path / "dota" / "classes.json").read_text())
    assert set(names.values()) == set(ODD.values())
    for record in store.samples():
        assert (tmp_path / "dota" / record.split / "images" / f"{record.stem}.png").is_file()
        lines = (tmp_path / "dota" / record.split / "labelTxt" / f"{record.stem}.txt").read_text().splitlines()
        for line, instance in zip(lines, record.instances, strict=True):
            *numbers, name, difficult = line.split()
            corners = np.array(numbers, dtype=float).reshape(4, 2)
            wanted = oriented_box(store.instances(record) == instance.id)
            assert convex_iou(corners, clockwise(wanted)) > 0.999
            assert np.array_equal(corners, clockwise(corners))
            assert (names[name], difficult) == (ODD[instance.category], "0")


def test_dota_images_are_png_whatever_they_were(tmp_path: Path) -> None:
    store = BuildReader(make_store(tmp_path / "store", 1))
    [record] = store.samples()
    jpeg = store.image_file(record).path.with_suffix(".jpg")
    PIL.Image.fromarray(store.image(record)).save(jpeg)
    store.image_file(record).path.unlink()

    class AsJpeg(BuildReader):
        def image_file(self, record: SampleRecord) -> StoredFile:  # noqa: ARG002
            return StoredFile(jpeg)

        def image(self, record: SampleRecord) -> np.ndarray:  # noqa: ARG002
            return np.asarray(PIL.Image.open(jpeg))

    write(AsJpeg(store.root), tmp_path, DotaSpec())
    [written] = (tmp_path / "dota" / "train" / "images").iterdir()
    assert written.name == "0000000.png"
    assert np.array_equal(np.asarray(PIL.Image.open(written)), np.asarray(PIL.Image.open(jpeg)))


def test_dota_header_on_request(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, DotaSpec(header=True))
    first = next((tmp_path / "dota" / "train" / "labelTxt").iterdir())
    assert first.read_text().splitlines()[:2] == ["imagesource:made", "gsd:0.5"]


def test_corners_start_at_the_upper_left() -> None:
    square = np.array([[0.0, 4.0], [0.0, 0.0], [4.0, 0.0], [4.0, 4.0]])
    wanted = [[0, 0], [4, 0], [4, 4], [0, 4]]
    for turned in (square, square[::-1], np.roll(square, 2, axis=0)):
        assert clockwise(turned).tolist() == wanted


def test_voc_boxes_and_names_come_back_by_supervision(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, VocSpec())
    root = tmp_path / "voc"
    data = supervision.DetectionDataset.from_pascal_voc(str(root / "JPEGImages"), str(root / "Annotations"))
    truth = {record.stem: record for record in store.samples()}
    assert {Path(path).stem for path, _, _ in data} == set(truth)
    for path, _, found in data:
        instances = truth[Path(path).stem].instances
        boxes = np.array([item.box for item in instances]).reshape(-1, 4)
        assert np.array_equal(found.xyxy.reshape(-1, 4), np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]))
        ids = found.class_id if len(found) else []
        assert [data.classes[number] for number in ids] == [ODD[item.category] for item in instances]


def test_voc_as_torchvision_parses_it_and_its_lists(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, VocSpec())
    for split in store.splits:
        stems = (tmp_path / "voc" / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
        assert stems == [record.stem for record in store.samples() if record.split == split]
    for record in store.samples():
        root = ElementTree.parse(tmp_path / "voc" / "Annotations" / f"{record.stem}.xml").getroot()
        found = VOCDetection.parse_voc_xml(root)["annotation"]
        assert found["filename"] == f"{record.stem}.png"
        assert found["size"] == {"width": "48", "height": "48", "depth": "3"}
        assert [item["truncated"] for item in found.get("object", [])] == [
            str(int(instance.truncated)) for instance in record.instances
        ]


@pytest.mark.parametrize("spec", [DotaSpec(), VocSpec()], ids=lambda spec: spec.kind)
def test_a_crowd_is_difficult_and_said(tmp_path: Path, spec: DotaSpec | VocSpec) -> None:
    summary = write(crowded_store(tmp_path / "store"), tmp_path, spec)
    assert summary.notes == ("crowd regions written as difficult: 1",)
    if spec.kind == "dota":
        [text] = (tmp_path / "dota").rglob("*.txt")
        assert [line.split()[-1] for line in text.read_text().splitlines()] == ["0", "1", "0"]
    else:
        [text] = (tmp_path / "voc" / "Annotations").iterdir()
        assert [entry.text for entry in ElementTree.parse(text).iter("difficult")] == ["0", "1", "0"]
