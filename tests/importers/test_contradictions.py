"""Files that contradict each other or themselves: nothing is taken for another split's, and what is chosen is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.errors import FactoryError
from tests.importers.layouts import H, W, box_mask, image, put, rle, text
from tests.importers.test_layouts import BNDBOX, BOTTOM, BOX, SHIP, TOP, YOLO, Make, coco, done, objects, xml
from tests.importers.test_siblings import RING, STUDIO, coco_file, ground, yolo_file

ELSEWHERE = "outlines that lie elsewhere than their box, the outline is taken"
CUT = "objects more than half outside their image, cut at its edge"
OTHER = "label files that name another image than the one called as they are, which is taken"
SMALL = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def coco_of(name: str, box: list[int] | None = None) -> str:
    images = [{"id": 1, "file_name": name, "height": H, "width": W}]
    return json.dumps(coco({"bbox": box} if box else None, images=images))


def coco_splits(root: Path) -> None:
    image(root / "train/1.jpg")
    image(root / "val/2.jpg", 2)
    text(root / "annotations/instances_train.json", coco_of("1.jpg"))
    text(root / "annotations/instances_val.json", coco_of("1.jpg", [1, 1, 5, 5]))


def voc_splits(root: Path) -> None:
    image(root / "train/images/1.jpg")
    image(root / "val/images/2.jpg", 2)
    text(root / "train/annotations/1.xml", xml(filename="1.jpg"))
    text(root / "val/annotations/1.xml", xml(SMALL, filename="1.jpg"))


def mask_splits(root: Path) -> None:
    for split, number in (("train", 1), ("val", 2)):
        image(root / split / f"images/{number}.png", number)
    image(root / "train/images/3.png", 3)
    put(root / "val/masks/1.png", box_mask(1, 1, 9, 9))
    put(root / "train/masks/3.png", box_mask(*BOX))
    text(root / "classes.json", '{"1": "ship"}')


@pytest.mark.parametrize("make", [coco_splits, voc_splits, mask_splits])
def test_a_split_takes_no_image_of_anothers_name(make: Make, tmp_path: Path) -> None:
    dataset, summary = done(make, tmp_path)
    assert objects(dataset) == [SHIP]
    assert summary.problems + sum(summary.left_out.values()) >= 1


def test_a_split_carved_out_of_another_finds_its_images(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        image(root / "train2017/1.jpg")
        image(root / "train2017/2.jpg", 2)
        text(root / "annotations/instances_train.json", coco_of("1.jpg"))
        text(root / "annotations/instances_val.json", coco_of("2.jpg"))

    dataset, summary = done(make, tmp_path)
    assert {stem: item.split for stem, item in dataset.about.items.items()} == {"1": "train", "2": "val"}
    assert summary.problems == 0


def labelme(root: Path) -> None:
    for number, stem in enumerate("ab"):
        image(root / f"{stem}.jpg", number)
        shapes = [{"label": "ship", "points": [[20, 10], [40, 30]], "shape_type": "rectangle"}] * (1 - number)
        about = {"imagePath": "b.jpg", "imageHeight": H, "imageWidth": W}
        text(root / f"{stem}.json", json.dumps({"version": "5", "shapes": shapes, **about}))


def voc_names(root: Path) -> None:
    for number, stem in enumerate("ab"):
        image(root / f"JPEGImages/{stem}.jpg", number)
        empty = f"<annotation><filename>{stem}.jpg</filename></annotation>"
        text(root / f"Annotations/{stem}.xml", xml(BNDBOX, "b.jpg") if stem == "a" else empty)


def vis_drone(root: Path) -> None:
    image(root / "images/a.jpg")
    text(root / "annotations/a.txt", "20,10,20,20,1,4,0,0\n50,30,10,10,0,4,0,0\n")


def again(root: Path) -> None:
    for folder in ("", "set/"):
        image(root / folder / "images/a.jpg")
        text(root / folder / "labels/a.txt", YOLO)
        text(root / folder / "data.yaml", "names: [ship]\n")


SAID: dict[str, tuple[Make, str]] = {
    "coco: an outline beside its box": (coco_file({"segmentation": [RING], "bbox": [60, 40, 9, 9]}), ELSEWHERE),
    "coco: run lengths beside their box": (
        coco_file({"segmentation": rle(box_mask(*BOX)), "bbox": [60, 40, 9, 9]}),
        ELSEWHERE,
    ),
    "yolo: data.yaml and classes.txt": (
        yolo_file(data="names: [ship, plane]\n", **{"labels/classes.txt": "plane\nship\n"}),
        "data.yaml names the classes; labels/classes.txt, which names others, is passed over",
    ),
    "the folder in itself again": (again, "images that lie there twice, with the same labels, taken once"),
    "labelme: imagePath of another": (labelme, OTHER),
    "voc: filename of another": (voc_names, OTHER),
}
"""Layout of the one ship → what is remarked."""


@pytest.mark.parametrize("layout", SAID)
def test_what_is_chosen_is_said(layout: str, tmp_path: Path) -> None:
    make, remark = SAID[layout]
    dataset, summary = done(make, tmp_path)
    assert objects(dataset) == [SHIP]
    assert list(summary.remarks) == [remark]
    assert summary.problems == 0


def test_boxes_that_mean_something_else_are_said(tmp_path: Path) -> None:
    _, summary = done(coco_file({"bbox": [60, 20, 90, 60]}), tmp_path / "corners for sizes")
    assert list(summary.remarks) == [CUT]
    _, summary = done(yolo_file(f"0 {20 / W} {10 / H} {90 / W} {60 / H}\n"), tmp_path / "corners for centres")
    assert list(summary.remarks) == [CUT]


def test_two_pictures_with_one_label_file_are_said(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        yolo_file()(root)
        image(root / "images/a.png", 3)

    dataset, summary = done(make, tmp_path)
    assert list(summary.remarks) == ["label files read for several images of one name"]
    assert len({item.group for item in dataset.about.items.values()}) == 1


def test_one_picture_in_two_splits_is_said_and_of_one_group(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        for split in ("train", "val"):
            image(root / split / "images/a.jpg")
            text(root / split / "labels/a.txt", YOLO)
        text(root / "data.yaml", "names: [ship]\n")

    dataset, summary = done(make, tmp_path)
    assert list(summary.remarks) == ["images that lie there twice, with other labels or in another split"]
    assert len({item.group for item in dataset.about.items.values()}) == 1
    assert len(dataset.about.items) == 2


@pytest.mark.parametrize("flags", [{"ignore": 1}, {"ignore": "1"}])
def test_what_is_not_to_be_judged_is_ignored(flags: dict[str, object], tmp_path: Path) -> None:
    dataset, _ = done(coco_file(flags), tmp_path)
    assert [one.flags for record in dataset.samples() for one in record.instances] == [("crowd",)]
    assert set(np.unique(dataset.read_mask("a"))) == {0, 255}


def test_a_score_of_nought_in_visdrone_is_ignored(tmp_path: Path) -> None:
    dataset, _ = done(vis_drone, tmp_path)
    [record] = dataset.samples()
    assert [one.flags for one in record.instances] == [(), ("crowd",)]
    assert (dataset.read_mask(record.stem)[30:40, 50:60] == 255).all()


def nested_names(root: Path) -> None:
    yolo_file(data="names: [ship, plane]\n")(root)
    image(root / "sub/images/b.jpg", 2)
    text(root / "sub/labels/b.txt", YOLO)
    text(root / "sub/data.yaml", "names: [plane, ship]\n")


def list_without_background(root: Path) -> None:
    image(root / "images/a.png")
    put(root / "masks/a.png", box_mask(*BOX) * 2)
    text(root / "classes.txt", "building\nroad\n")


def upside_down(root: Path) -> None:
    import rasterio
    from rasterio.transform import Affine

    for folder, bands, down in (("images", 3, -1), ("masks", 1, 1)):
        (root / folder).mkdir(parents=True)
        place = Affine(1, 0, 500000, 0, down, 5600000 - (H if down > 0 else 0))
        about = {"height": H, "width": W, "count": bands, "dtype": "uint8", "crs": "EPSG:32632", "transform": place}
        with rasterio.open(root / folder / "a.tif", "w", driver="GTiff", **about) as file:
            file.write(np.stack([box_mask(*BOX)] * bands))
    text(root / "classes.json", '{"1": "ship"}')


def two_images_a_task(root: Path) -> None:
    for number, name in enumerate("ab"):
        image(root / f"{name}.jpg", number)
    task = {"data": {"image": "a.jpg", "after": "b.jpg"}, "annotations": [{"result": [STUDIO]}]}
    text(root / "p.json", json.dumps([task]))


def a_line_alone(root: Path) -> None:
    image(root / "a.jpg")
    shape = {"name": "polyline", "all_points_x": [20, 40, 40], "all_points_y": [10, 10, 30]}
    region = {"shape_attributes": shape, "region_attributes": {"class": "ship"}}
    text(
        root / "via.json",
        json.dumps({"a.jpg1": {"filename": "a.jpg", "size": 1, "regions": [region], "file_attributes": {}}}),
    )


def half_classes(root: Path) -> None:
    ground(root)
    document = json.loads((root / "outlines.geojson").read_text())
    document["features"].append({**document["features"][0], "properties": {"class": None}})
    text(root / "ship.geojson", json.dumps(document))
    (root / "outlines.geojson").unlink()


def numbered_classes(root: Path) -> None:
    ground(root)
    document = json.loads((root / "outlines.geojson").read_text())
    document["features"][0]["properties"] = {"class_id": 0}
    text(root / "ship.geojson", json.dumps(document))
    (root / "outlines.geojson").unlink()


REFUSED: dict[str, tuple[Make, str]] = {
    "coco: shares for pixels": (coco_file({"bbox": [20 / W, 10 / H, 20 / W, 20 / H]}), "COCO has pixels"),
    "yolo: a folder of other classes inside": (nested_names, "name other classes"),
    "masks: a list without background": (list_without_background, "if 0 is background, write"),
    "masks: upside down": (upside_down, f"up to {H} pixels from it on the ground"),
    "label studio: two images a task": (two_images_a_task, "in a task of several images"),
    "via: a line alone": (a_line_alone, "image with nothing but points or lines"),
    "geojson: a class for some": (half_classes, "no class: {id: 100}"),
    "geojson: numbers for classes": (numbered_classes, '"0": {id: 100}'),
}
"""Layout → what is said; the one image is not taken for a negative, nor its label for another."""


@pytest.mark.parametrize("layout", REFUSED)
def test_what_nobody_can_tell_is_asked_about(layout: str, tmp_path: Path) -> None:
    make, said = REFUSED[layout]
    with pytest.raises(FactoryError) as caught:
        done(make, tmp_path)
    assert said in str(caught.value)


TABLES = {
    "names to ids": ("classes.json", '{"plane": 1, "ship": 2}'),
    "records": ("classes.json", '[{"id": 2, "name": "ship"}, {"id": 1, "name": "plane"}]'),
    "colours first": ("class_dict.csv", "r,g,b,name\n60,16,152,ship\n0,0,0,background\n"),
    "semicolons": ("class_dict.csv", "name;r;g;b\nship;60;16;152\nbackground;0;0;0\n"),
}


@pytest.mark.parametrize("form", TABLES)
def test_class_tables_in_their_other_forms(form: str, tmp_path: Path) -> None:
    name, content = TABLES[form]

    def make(root: Path) -> None:
        image(root / "images/a.png")
        ship = box_mask(*BOX)
        put(root / "masks/a.png", ship * 2 if name.endswith("json") else np.stack([ship * n for n in (60, 16, 152)], 2))
        text(root / name, content)

    assert objects(done(make, tmp_path)[0]) == [SHIP]


def test_a_subset_of_cvat_says_whose_image_it_is(tmp_path: Path) -> None:
    def make(root: Path) -> None:
        shapes = ""
        for number, (subset, left) in enumerate((("train", 20), ("val", 50))):
            image(root / "images" / subset / "a.jpg", number)
            box = f'<box label="ship" xtl="{left}" ytl="{TOP}" xbr="{left + 20}" ybr="{BOTTOM}"/>'
            head = f'<image id="{number}" name="a.jpg" subset="{subset}" width="{W}" height="{H}">'
            shapes += f"{head}{box}</image>"
        text(root / "annotations.xml", f"<annotations><version>1.1</version>{shapes}</annotations>")

    dataset, _ = done(make, tmp_path)
    found = {
        item.split: record.instances[0].box[0]
        for record in dataset.samples()
        for item in [dataset.about.items[record.stem]]
    }
    assert found == {"train": 20, "val": 50}
