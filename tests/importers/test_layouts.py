"""The layouts that people have: however files lie and are called, the one ship is found, or its loss is said."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.finish import PrepareSummary
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from earthsynth_factory.importers.readers.yolo import Yolo
from tests.importers import layouts
from tests.importers.choosing import opened
from tests.importers.layouts import BOX, H, W, image, put, stripes, text

Make = Callable[[Path], object]
LEFT, TOP, RIGHT, BOTTOM = BOX
YOLO = f"0 {30 / W} {20 / H} {20 / W} {20 / H}\n"
BNDBOX = f"<bndbox><xmin>{LEFT + 1}</xmin><ymin>{TOP + 1}</ymin><xmax>{RIGHT}</xmax><ymax>{BOTTOM}</ymax></bndbox>"


def xml(box: str = BNDBOX, filename: str = "a.jpg", size: str = "") -> str:
    return f"<annotation><filename>{filename}</filename>{size}<object><name>ship</name>{box}</object></annotation>"


def coco(annotation: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """One ship in a.jpg."""
    box = [LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP]
    usual = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "segmentation": [], "iscrowd": 0}
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "height": H, "width": W}],
        "annotations": [{**usual, **(annotation or {})}],
        "categories": [{"id": 1, "name": "ship"}],
        **changes,
    }


def done(make: Make, tmp_path: Path, kind: str = "auto", **options: Any) -> tuple[PreparedDataset, PrepareSummary]:
    make(tmp_path / "in")
    chosen = PrepareOptions(kind, CropRules(0), keep_empty=1.0, workers=1, **options)
    given = tmp_path / "in.zip" if (tmp_path / "in.zip").is_file() else tmp_path / "in"
    summary = prepare(given, tmp_path / "out", chosen)
    return PreparedDataset(tmp_path / "out"), summary


def objects(dataset: PreparedDataset) -> list[tuple[str, tuple[int, int, int, int]]]:
    return [(dataset.taxonomy[one.category].name, one.box) for record in dataset.samples() for one in record.instances]


SHIP = ("ship", (LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP))


def files(root: Path, *pictures: str, **texts: str) -> None:
    """Pictures, and text files whose names have `/` for `__` and `.` for `_dot_`."""
    for number, name in enumerate(pictures):
        image(root / name, number)
    for name, content in texts.items():
        text(root / name.replace("__", "/").replace("_dot_", "."), content)


def yolo(
    root: Path, picture: str, label: str, names: str = "data.yaml", content: str = "names: [ship, plane]\n"
) -> None:
    image(root / picture)
    text(root / label, YOLO)
    text(root / names, content)


ONE_SHIP: dict[str, Make] = {
    "yolo: split folders inside images": lambda r: yolo(r, "images/train/s/c/a.jpg", "labels/train/s/c/a.txt"),
    "yolo: labels beside images": lambda r: yolo(r, "train/a.jpg", "train/a.txt"),
    "yolo: one folder": lambda r: yolo(r, "a.jpg", "a.txt", "classes.txt", "ship\n"),
    "yolo: capital folders": lambda r: yolo(r, "Images/a.JPG", "Labels/a.txt", "classes.txt", "ship\n"),
    "yolo: one level deeper": lambda r: yolo(
        r, "x.v3i/train/images/a.jpg", "x.v3i/train/labels/a.txt", "x.v3i/data.yaml"
    ),
    "yolo: numbers as texts": lambda r: yolo(
        r, "images/a.jpg", "labels/a.txt", content="names: {'0': ship, '1': plane}\n"
    ),
    "yolo: an unreadable YAML beside": lambda r: (
        yolo(r, "images/a.jpg", "labels/a.txt"),
        text(r / "b.yaml", "a: [\n"),
    ),
    "yolo: data.yaml before others": lambda r: (
        yolo(r, "images/a.jpg", "labels/a.txt"),
        text(r / "a_old.yaml", "names: [plane, ship]\n"),
    ),
    "yolo: a mark of order": lambda r: (
        yolo(r, "images/a.jpg", "labels/a.txt", "classes.txt", "\ufeffship\n"),
        text(r / "labels" / "a.txt", "\ufeff" + YOLO),
    ),
    "yolo: numbers of numpy": lambda r: (
        yolo(r, "images/a.jpg", "labels/a.txt"),
        text(r / "labels" / "a.txt", " ".join(f"{float(word):.6e}" for word in YOLO.split())),
    ),
    "yolo: tabs": lambda r: (
        yolo(r, "images/a.jpg", "labels/a.txt"),
        text(r / "labels" / "a.txt", YOLO.replace(" ", "\t")),
    ),
    "yolo: key points behind the box": lambda r: (
        yolo(r, "images/a.jpg", "labels/a.txt", content="names: [ship]\nkpt_shape: [2, 2]\n"),
        text(r / "labels" / "a.txt", YOLO.strip() + " 0.1 0.1 0.9 0.9\n"),
    ),
    "darknet": lambda r: (
        yolo(r, "obj_train_data/a.jpg", "obj_train_data/a.txt", "obj.names", "ship\n"),
        text(r / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\n"),
        text(r / "train.txt", "data/obj_train_data/a.jpg\n"),
    ),
    "voc: one folder": lambda r: files(r, "a.jpg", a_dot_xml=xml()),
    "voc: split folders": lambda r: files(r, "train/a.jpg", train__a_dot_xml=xml()),
    "voc: images and annotations": lambda r: files(r, "images/a.png", annotations__a_dot_xml=xml()),
    "voc: another name inside": lambda r: files(r, "JPEGImages/a.jpg", Annotations__a_dot_xml=xml(filename="q.png")),
    "voc: found by the name inside": lambda r: files(r, "pictures/b.jpg", xml__a_dot_xml=xml(filename="b.jpg")),
    "voc: centre, size and angle": lambda r: files(
        r,
        "a.jpg",
        a_dot_xml=xml("<robndbox><cx>30</cx><cy>20</cy><w>20</w><h>20</h><angle>0.0</angle></robndbox>"),
    ),
    "voc: another encoding": lambda r: (
        image(r / "a.jpg"),
        (r / "a.xml").write_bytes(
            ('<?xml version="1.0" encoding="gb2312"?>' + xml(filename="船.jpg")).encode("gb2312")
        ),
    ),
    "coco: texts for numbers": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco({"image_id": "1", "category_id": "1", "iscrowd": "0"}))),
    ),
    "coco: texts in all ids": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco({"category_id": "s"}, categories=[{"id": "s", "name": "ship"}]))),
    ),
    "coco: decimals for ids": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco({"image_id": 1.0, "category_id": 1.0}))),
    ),
    "coco: no size": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "file_name": "a.jpg", "height": -1, "width": -1}]))),
    ),
    "coco: NaN": lambda r: (files(r, "images/a.jpg"), text(r / "a.json", json.dumps(coco({"area": float("nan")})))),
    "coco: a mark of order": lambda r: (files(r, "images/a.jpg"), text(r / "a.json", "\ufeff" + json.dumps(coco()))),
    "coco: one flat ring": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco({"segmentation": [20, 10, 40, 10, 40, 30, 20, 30]}))),
    ),
    "coco: a box for a ring": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco({"segmentation": [[20, 10, 20, 20]]}))),
    ),
    "coco: an empty ring": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco({"segmentation": [[]]}))),
    ),
    "coco: deep, nested": lambda r: (
        files(r, "x/y/a.jpg"),
        text(r / "x" / "annotations" / "i.json", json.dumps(coco())),
    ),
    "coco: a path of Windows": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "file_name": "..\\..\\media\\1\\a.jpg"}]))),
    ),
    "coco: a path of another disk": lambda r: (
        files(r, "images/cam1/a.jpg", "images/cam2/a.jpg"),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "file_name": "/home/x/images/cam2/a.jpg"}]))),
    ),
    "coco: an URL": lambda r: (
        files(r, "train2017/a.jpg"),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "coco_url": "http://x.org/train2017/a.jpg"}]))),
    ),
    "coco: another case": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "file_name": "A.JPG"}]))),
    ),
    "coco: another suffix": lambda r: (
        files(r, "images/a.png"),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "file_name": "a.jpg"}]))),
    ),
    "coco: percents": lambda r: (
        files(r, "images/my port 1.jpg"),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "file_name": "my%20port%201.jpg"}]))),
    ),
    "coco: another form of accents": lambda r: (
        files(r, unicodedata.normalize("NFD", "images/été.jpg")),
        text(r / "a.json", json.dumps(coco(images=[{"id": 1, "file_name": unicodedata.normalize("NFC", "été.jpg")}]))),
    ),
    "coco: captions beside": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "instances_train2017.json", json.dumps(coco())),
        text(
            r / "captions_train2017.json",
            json.dumps({"images": coco()["images"], "annotations": [{"id": 1, "image_id": 1, "caption": "a ship"}]}),
        ),
    ),
    "coco: key points beside": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "instances_train2017.json", json.dumps(coco())),
        text(r / "person_keypoints_train2017.json", json.dumps(coco(annotations=[]))),
    ),
    "coco: the whole and its parts": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "all.json", json.dumps(coco())),
        text(r / "instances_val.json", json.dumps(coco())),
    ),
    "coco: a truncated copy beside": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco())),
        text(r / "b.json", json.dumps(coco())[:-30]),
    ),
    "coco: an unused root class": lambda r: (
        files(r, "images/a.jpg"),
        text(r / "a.json", json.dumps(coco(categories=[{"id": 0, "name": "my-project"}, {"id": 1, "name": "ship"}]))),
    ),
    "a zip": lambda r: (
        yolo(r, "train/images/a.jpg", "train/labels/a.txt"),
        shutil.make_archive(str(r), "zip", r),
        shutil.rmtree(r),
    ),
    "zips inside": lambda r: (
        layouts.coco_folder(r.with_name("made"), coco()),
        image(r.with_name("made") / "images" / "a.jpg"),
        (r / "annotations").mkdir(parents=True),
        shutil.make_archive(str(r / "images"), "zip", r.with_name("made") / "images"),
        shutil.copy(r.with_name("made") / "annotations" / "instances_train.json", r / "annotations"),
    ),
    "links": lambda r: (
        yolo(r.with_name("disk"), "images/a.jpg", "labels/a.txt"),
        r.mkdir(),
        [(r / name).symlink_to(r.with_name("disk") / name) for name in ("images", "labels", "data.yaml")],
    ),
}


@pytest.mark.parametrize("layout", ONE_SHIP)
def test_the_one_ship_is_found(layout: str, tmp_path: Path) -> None:
    dataset, _ = done(ONE_SHIP[layout], tmp_path)
    assert objects(dataset) == [SHIP]
    assert dataset.count == 1


def mask(root: Path, picture: str, label: str, **texts: str) -> None:
    image(root / picture)
    put(root / label, stripes([0, 1, 2]))
    for name, content in (texts or {"classes_dot_txt": "background\nbuilding\nroad\n"}).items():
        text(root / name.replace("_dot_", "."), content)


MASKS: dict[str, Make] = {
    "capital folders": lambda r: mask(r, "Images/a.jpg", "Masks/a.png"),
    "prefixes": lambda r: mask(r, "images/img_1.jpg", "masks/mask_1.png"),
    "one folder, suffix": lambda r: mask(
        r,
        "train/a.jpg",
        "train/a_mask.png",
        _classes_dot_csv="Pixel Value, Class\n0, background\n1, building\n2, road\n",
    ),
    "gt": lambda r: mask(r, "AerialImageDataset/train/images/austin1.tif", "AerialImageDataset/train/gt/austin1.tif"),
    "labels of a split": lambda r: mask(r, "tiff/train/1_15.tiff", "tiff/train_labels/1_15.tif"),
    "numbered folders": lambda r: mask(r, "4_Ortho_RGBIR/top_p_2_10_RGBIR.tif", "5_Labels_all/top_p_2_10_label.tif"),
    "deep, prefixes": lambda r: mask(
        r, "flair_aerial_train/D4/Z1_NN/img/IMG_01.tif", "flair_labels_train/D4/Z1_NN/msk/MSK_01.tif"
    ),
    "numbered suffix": lambda r: mask(r, "img_dir/train/GF2_A-MSS1.tif", "ann_dir/train/GF2_A-MSS1_15label.png"),
    "targets": lambda r: mask(r, "images/h_01_pre.png", "targets/h_01_pre_target.png"),
    "brackets": lambda r: mask(r, "input/img(1).tif", "labels/target(1).tif"),
    "class names of another tool": lambda r: mask(
        r, "JPEGImages/a.jpg", "SegmentationClassPNG/a.png", class_names_dot_txt="_background_\nbuilding\nroad\n"
    ),
    "longer names": lambda r: mask(r, "BDORTHO/67-2012.tif", "UrbanAtlas/67-2012_UA2012.tif"),
    "dataset in the folder's name": lambda r: mask(
        r, "Semantic dataset/x/images/a.jpg", "Semantic dataset/x/masks/a.png"
    ),
}


@pytest.mark.parametrize("layout", MASKS)
def test_label_images_find_their_images(layout: str, tmp_path: Path) -> None:
    dataset, _ = done(MASKS[layout], tmp_path)
    [stem] = dataset.about.items
    assert [int(value) for value in dataset.read_mask(stem)[0, [0, W // 2, W - 1]]] == [0, 8, 4]


def test_ids_of_the_map_are_evidence(tmp_path: Path) -> None:
    mapping = text(tmp_path / "map.yaml", "1: building\n2: road\n")
    dataset, summary = done(lambda r: mask(r, "image/1.tif", "label/1.tif", x_dot_md="-"), tmp_path, map=mapping)
    assert summary.kind == "masks"
    assert set(np.unique(dataset.read_mask("1"))) == {0, 4, 8}


def test_chips_of_224_pixels_are_not_gid(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        image(root / "images" / "c0.jpg", 0, 224, 224)
        put(root / "labels" / "c0.png", stripes([0, 1, 2], 224, 224))
        text(root / "classes.txt", "background\nbuilding\nroad\n")

    assert done(make, tmp_path)[1].kind == "masks"


def test_black_and_white_masks_of_two_classes(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        image(root / "images" / "a.jpg")
        put(root / "masks" / "a.png", stripes([0, 255]))
        text(root / "classes.txt", "background\nbuilding\n")

    dataset, summary = done(make, tmp_path)
    assert set(np.unique(dataset.read_mask("a"))) == {0, 8}
    assert "masks of 0 and 255: 255 is taken for class 1" in summary.remarks


def test_255_is_ignored_if_there_are_more_classes(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        mask(root, "images/a.jpg", "masks/a.png")
        put(root / "masks" / "a.png", stripes([1, 255]))

    assert set(np.unique(done(make, tmp_path)[0].read_mask("a"))) == {8, 255}


def test_label_images_as_jpeg_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="JPEG with loss"):
        done(lambda r: mask(r, "images/a.jpg", "masks/a.jpg"), tmp_path)


def test_of_changes_the_later_image_is_taken(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        mask(root, "train/B/1.png", "train/label/1.png")
        image(root / "train" / "A" / "1.png", 1)

    dataset, summary = done(make, tmp_path)
    assert summary.left_out["image before a change, of which the label image says nothing"] == 1
    record = next(dataset.samples())
    assert (dataset.image(record) == cv2.imread(str(tmp_path / "in" / "train" / "B" / "1.png"))[..., ::-1]).all()


def test_objects_of_an_annotation_tool_have_its_masks(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        image(root / "JPEGImages" / "a.jpg")
        classes, instances = np.zeros((H, W, 3), np.uint8), np.zeros((H, W, 3), np.uint8)
        for number, left in enumerate((10, 20)):  # touching
            classes[10:20, left : left + 10], instances[10:20, left : left + 10] = (48, 112, 32), (100, 10, number)
        put(root / "SegmentationClass" / "a.png", classes)
        put(root / "SegmentationObject" / "a.png", instances)
        text(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nship:48,112,32::\n")

    assert objects(done(make, tmp_path)[0]) == [("ship", (10, 10, 10, 10)), ("ship", (20, 10, 10, 10))]


def test_boxes_take_the_pixels_of_vocs_object_images(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        files(root, "JPEGImages/a.jpg", Annotations__a_dot_xml=xml())
        half = np.zeros((H, W, 3), np.uint8)
        cv2.fillPoly(half, [np.array([(20, 10), (39, 10), (20, 29)])], (128, 0, 0))
        put(root / "SegmentationObject" / "a.png", half)

    [one] = next(done(make, tmp_path)[0].samples()).instances
    assert 190 < one.area < 220, "the triangle, not the box of 400"


def test_a_box_drawn_on_another_size_is_left_out(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        files(root, "a.jpg", "b.jpg", b_dot_xml=xml())
        text(root / "a.xml", xml(size=f"<size><width>{2 * W}</width><height>{2 * H}</height></size>"))

    dataset, summary = done(make, tmp_path)
    assert set(dataset.about.items) == {"b"}
    assert summary.problems == 1
    assert f"its annotations say {2 * W}×{2 * H}" in (tmp_path / "out" / "problems.txt").read_text()


@pytest.mark.parametrize("content", ["船 0.1".encode("gbk") * 9, b"0 0.1 0.2\n", b"9 0.1 0.1 0.1 0.1\n"])
def test_an_image_whose_labels_cannot_be_read_is_no_negative(content: bytes, tmp_path: Path) -> None:
    def make(root: Path) -> None:
        yolo(root, "images/a.jpg", "labels/a.txt")
        image(root / "images" / "b.jpg")
        (root / "labels" / "b.txt").write_bytes(content)

    dataset, summary = done(make, tmp_path)
    assert set(dataset.about.items) == {"a"}
    assert summary.found["images"] == 2
    assert summary.found["images used"] == 1
    assert "left out, since none of its labels could be read" in (tmp_path / "out" / "problems.txt").read_text()


def test_an_image_without_a_text_file_is_a_negative_and_one_without_xml_is_none(tmp_path: Path) -> None:
    def boxes(root: Path) -> None:
        yolo(root, "a.jpg", "a.txt", "classes.txt", "ship\n")
        image(root / "c.jpg", 3)

    assert set(done(boxes, tmp_path / "yolo")[0].about.items) == {"a", "c"}

    def voc(root: Path) -> None:
        files(root, "a.jpg", "c.jpg", a_dot_xml=xml())

    dataset, summary = done(voc, tmp_path / "voc")
    assert set(dataset.about.items) == {"a"}
    assert summary.left_out == {"image without a label file": 1}


def test_lists_of_images_are_the_splits_and_the_rest_is_out(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        for name in "abc":
            yolo(
                root,
                f"images/{name}.jpg",
                f"labels/{name}.txt",
                content="train: train.txt\nval: val.txt\nnames: [ship]\n",
            )
        text(root / "train.txt", "./images/a.jpg\n")
        text(root / "val.txt", "C:\\data\\images\\b.jpg\n")

    dataset, summary = done(make, tmp_path)
    assert {stem: item.split for stem, item in dataset.about.items.items()} == {"a": "train", "b": "val"}
    assert summary.left_out["image that none of the dataset's lists names"] == 1


def test_folders_that_the_settings_name_are_splits(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        content = "train: images/north\nval: [../images/south]\nnames: [ship]\n"
        for name in ("north", "south"):
            yolo(root, f"images/{name}/{name}.jpg", f"labels/{name}/{name}.txt", content=content)

    items = done(make, tmp_path)[0].about.items
    assert {stem: item.split for stem, item in items.items()} == {"north": "train", "south": "val"}


@pytest.mark.parametrize("folder", ["Val-de-Marne", "my_test_flight", "train station", "Testville"])
def test_names_of_places_are_no_splits(folder: str, tmp_path: Path) -> None:
    items = done(lambda r: mask(r, f"{folder}/images/test 1.jpg", f"{folder}/masks/test 1.png"), tmp_path)[
        0
    ].about.items
    assert {item.split for item in items.values()} == {None}


def test_the_folder_given_is_no_split(tmp_path: Path) -> None:
    yolo(tmp_path / "test", "images/a.jpg", "labels/a.txt")
    source, _ = opened(tmp_path / "test")
    assert [scene.split for scene in source.scenes] == [None]


def test_copies_of_one_picture_are_one_group(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        for scene in "ab":
            for copy in "xy":
                stem = f"{scene}_jpg.rf.{copy * 32}"
                yolo(root, f"train/images/{stem}.jpg", f"train/labels/{stem}.txt")

    assert {item.group for item in done(make, tmp_path)[0].about.items.values()} == {"a_jpg", "b_jpg"}


def test_pictures_of_one_name_in_several_splits_are_groups_of_their_own(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        for number, split in enumerate(("train", "val")):
            mask(root, f"{split}/image/1.tif", f"{split}/label/1.tif")
            image(root / split / "image/1.tif", number)

    assert {item.group for item in done(make, tmp_path)[0].about.items.values()} == {"train/1", "val/1"}


def test_two_images_of_one_id_are_left_out_and_named(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        files(root, "images/a.jpg", "images/b.jpg", "images/c.jpg")
        images = [{"id": number, "file_name": name} for number, name in ((1, "a.jpg"), (1, "b.jpg"), (2, "c.jpg"))]
        text(root / "a.json", json.dumps(coco(images=images)))

    dataset, _ = done(make, tmp_path)
    assert set(dataset.about.items) == {"c"}
    assert "image id 1 is given to several images" in (tmp_path / "out" / "problems.txt").read_text()


def test_files_that_contradict_each_other_are_asked_about(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        files(root, "images/a.jpg")
        text(root / "v1.json", json.dumps(coco()))
        text(root / "v2.json", json.dumps(coco({"bbox": [1, 1, 5, 5]})))

    with pytest.raises(
        InputError, match=r"different things of the same images; give the one to read\n  1 images: .*v1"
    ):
        done(make, tmp_path)


def test_a_file_a_class_is_one_dataset(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        files(root, "images/a.jpg")
        text(root / "ship.json", json.dumps(coco()))
        other = coco({"category_id": 7, "bbox": [50, 40, 10, 10]}, categories=[{"id": 7, "name": "plane"}])
        text(root / "plane.json", json.dumps(other))

    dataset, _ = done(make, tmp_path)
    assert sorted(objects(dataset)) == [("plane", (50, 40, 10, 10)), SHIP]
    assert dataset.count == 1


def test_among_folders_of_the_same_names_that_which_has_all_that_are_listed(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        for name in ("1", "2", "3"):
            image(root / "positive" / f"{name}.jpg", int(name))
        for name in ("1", "2"):
            image(root / "negative" / f"{name}.jpg", 9)
        images = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2, 3)]
        text(root / "a.json", json.dumps(coco(images=images)))

    make(tmp_path / "in")
    source, _ = opened(tmp_path / "in")
    assert {scene.image.parent.name for scene in source.scenes} == {"positive"}


def test_an_annotation_file_finds_the_images_around_it(tmp_path: Path) -> None:
    image(tmp_path / "in" / "train2017" / "a.jpg")
    file = text(tmp_path / "in" / "annotations" / "instances_train2017.json", json.dumps(coco()))
    prepare(file, tmp_path / "out", PrepareOptions(rules=CropRules(0), workers=1))
    assert objects(PreparedDataset(tmp_path / "out")) == [SHIP]


@pytest.mark.parametrize(("stem", "name"), [("a", "in"), ("P0001", "DOTA")])
def test_dotas_form_is_not_dotas_licence(stem: str, name: str, tmp_path: Path) -> None:
    def make(root: Path) -> None:
        image(root / "images" / f"{stem}.png")
        text(root / "labelTxt" / f"{stem}.txt", "20 10 40 10 40 30 20 30 ship 0\n")

    assert done(make, tmp_path)[0].about.name == name


def test_the_newest_of_dotas_labels_is_taken_and_said(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        image(root / "train" / "images" / "part1" / "images" / "P0003.png")
        for version, word in (("v1.0", "plane"), ("v1.5", "plane"), ("v2.0", "ship")):
            place = root / "train" / f"labelTxt-{version}" / f"DOTA-{version}_train" / "P0003.txt"
            text(place, f"20 10 40 10 40 30 20 30 {word} 0\n")

    dataset, summary = done(make, tmp_path)
    assert objects(dataset) == [SHIP]
    assert any("v2.0 taken" in remark for remark in summary.remarks)


def test_isaid_in_one_folder_and_as_tiles(tmp_path: Path) -> None:
    def one_folder(root: Path) -> None:
        layouts.isaid(root.with_name("made"))
        (root / "train" / "images").mkdir(parents=True)
        for path in root.with_name("made").rglob("*.png"):
            shutil.copy(path, root / "train" / "images")

    assert len(objects(done(one_folder, tmp_path / "a")[0])) == 2

    def tiles(root: Path) -> None:
        image(root / "img_dir" / "train" / "P0_0_64_0_96.png")
        put(root / "ann_dir" / "train" / "P0_0_64_0_96_instance_color_RGB.png", stripes([0, 1, 14, 255]))

    dataset, _ = done(tiles, tmp_path / "b")
    assert list(dict.fromkeys(dataset.read_mask("iSAID_P0_0_64_0_96")[0].tolist())) == [0, 17, 16, 255]


def test_a_reader_of_ones_own(tmp_path: Path) -> None:
    _, summary = done(ONE_SHIP["yolo: labels beside images"], tmp_path, "tests.importers.test_layouts:Mine")
    assert summary.kind == "mine"
    for kind, words in {"tests.importers.nowhere:X": "cannot be imported", "pathlib:Path": "no reader"}.items():
        with pytest.raises(InputError, match=words):
            done(ONE_SHIP["yolo: labels beside images"], tmp_path / words, kind)


class Mine(Yolo):
    """A plug-in."""

    kind = "mine"
