"""Images as sources have them, prepared: turned, deep, with holes, larger than any crop, with objects larger than one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import InputError, SourceError, StoreError
from earthsynth_factory.importers import crops
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.finish import PrepareSummary
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from tests.importers import layouts
from tests.io.test_pictures import tif

WHOLE = PrepareOptions("coco", CropRules(0), keep_empty=1.0, workers=1)


def coco(root: Path, name: str, size: tuple[int, int], *boxes: list[float]) -> Path:
    """A COCO file beside images/<name>, of size (H, W), with a ship in each box."""
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "segmentation": [], "iscrowd": 0}
        for n, box in enumerate(boxes, start=1)
    ]
    image = {"id": 1, "file_name": f"images/{name}", "height": size[0], "width": size[1]}
    document = {"images": [image], "categories": [{"id": 1, "name": "ship"}], "annotations": annotations}
    layouts.text(root / "a.json", json.dumps(document))
    return root


def turned(path: Path) -> Path:
    """40 rows, 60 columns as stored; EXIF shows it as 60 rows, 40 columns."""
    tags = PIL.Image.Exif()
    tags[0x0112] = 6
    path.parent.mkdir(parents=True)
    PIL.Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path, exif=tags)
    return path


def read(source: Path, out: Path, options: PrepareOptions = WHOLE) -> tuple[PreparedDataset, PrepareSummary]:
    summary = prepare(source, out, options)
    return PreparedDataset(out), summary


def test_a_photo_is_turned_as_its_labels_were_drawn(tmp_path: Path) -> None:
    turned(tmp_path / "in" / "images" / "x.jpg")
    upright, summary = read(coco(tmp_path / "in", "x.jpg", (60, 40), [10, 30, 20, 20]), tmp_path / "a")
    assert summary.remarks == {"images turned upright, as their EXIF says": 1}
    [record] = upright.samples()
    assert (record.height, record.width) == (60, 40) == upright.image(record).shape[:2]
    assert PIL.Image.open(upright.image_file(record).path).getexif().get(0x0112, 1) == 1, "no reader turns it again"
    stored, summary = read(coco(tmp_path / "in", "x.jpg", (40, 60), [30, 10, 20, 20]), tmp_path / "b")
    assert summary.remarks == {"images left as stored, as their labels were drawn": 1}
    [record] = stored.samples()
    assert (record.height, record.width) == (40, 60) and PIL.Image.open(stored.image_file(record).path).size == (60, 40)
    with pytest.raises(SourceError, match="has 40×60 pixels, its annotations say 80×90"):
        read(coco(tmp_path / "in", "x.jpg", (90, 80), [1, 1, 5, 5]), tmp_path / "c")


def test_deep_images_get_one_stretch_and_keep_it(tmp_path: Path) -> None:
    deep = np.linspace(200, 3000, 64 * 64).astype(np.uint16).reshape(64, 64, 1).repeat(3, axis=2)
    (tmp_path / "in" / "images").mkdir(parents=True)
    tif(tmp_path / "in" / "images" / "x.tif", deep)
    source = coco(tmp_path / "in", "x.tif", (64, 64), [5, 5, 9, 9])
    dataset, summary = read(source, tmp_path / "a")
    [record] = dataset.samples()
    picture = dataset.image(record)
    assert picture.min() == 0 and picture.max() == 255 and np.unique(picture).size > 200
    [remark] = summary.remarks
    assert remark.startswith("imagery of more than 8 bits: p2-98 of the dataset, 255.9, 255.9, 255.9 becomes 0")
    about = json.loads((tmp_path / "a" / "dataset.json").read_text())["imagery"]["stretch"]
    assert about["rule"] == "p2-98"
    before = {path.name: path.read_bytes() for path in sorted((tmp_path / "a").rglob("*.json"))}
    read(source, tmp_path / "a")
    assert before == {path.name: path.read_bytes() for path in sorted((tmp_path / "a").rglob("*.json"))}
    own = PrepareOptions("coco", CropRules(0), keep_empty=1.0, workers=1, stretch="0,6000")
    dataset, _ = read(source, tmp_path / "b", own)
    [record] = dataset.samples()
    assert int(dataset.image(record).max()) == pytest.approx(3000 / 6000 * 255, abs=1)
    with pytest.raises(StoreError, match="stretch"):
        read(source, tmp_path / "a", own)
    with pytest.raises(InputError, match="--bands 0,1,2"):
        read(source, tmp_path / "c", PrepareOptions("coco", bands=(0, 1, 2), workers=1))


def test_an_object_larger_than_a_crop_fills_it(tmp_path: Path) -> None:
    layouts.put(tmp_path / "in" / "images" / "x.png", np.zeros((200, 200, 3), np.uint8))
    source = coco(tmp_path / "in", "x.png", (200, 200), [10, 10, 180, 180], [60, 0, 5, 5])
    dataset, summary = read(source, tmp_path / "out", PrepareOptions("coco", CropRules(64, 0.0), workers=1))
    inner = next(record for record in dataset.samples() if dataset.about.items[record.stem].corner == (64, 64))
    [ship] = inner.instances
    assert (dataset.mask(inner) == 17).all() and ship.truncated and ship.area == 64 * 64
    assert ship.visible == pytest.approx(64 * 64 / 180**2, abs=1e-3)
    assert ship.given is not None and ship.given.box == (0.0, 0.0, 64.0, 64.0)
    assert not any("mostly outside" in reason for reason in summary.left_out if summary.left_out[reason] > 4)


def test_crops_without_a_picture_are_left_out_and_counted(tmp_path: Path) -> None:
    alpha = np.where(np.arange(128) < 64, 0, 255).astype(np.uint8) * np.ones((64, 1), np.uint8)
    (tmp_path / "in" / "images").mkdir(parents=True)
    scene = np.dstack([np.full((64, 128, 3), 50, np.uint8), alpha])
    tif(tmp_path / "in" / "images" / "x.tif", scene, ["red", "green", "blue", "alpha"])
    source = coco(tmp_path / "in", "x.tif", (64, 128), [80, 10, 20, 20])
    dataset, summary = read(source, tmp_path / "out", PrepareOptions("coco", CropRules(64, 0.0), 1.0, workers=1))
    assert dataset.count == 1
    assert summary.left_out == {"crop of next to no picture (no-data or transparent)": 1}


def test_an_object_smaller_than_a_pixel_keeps_one(tmp_path: Path) -> None:
    layouts.put(tmp_path / "in" / "images" / "x.png", np.zeros((20, 20, 3), np.uint8))
    dataset, _ = read(coco(tmp_path / "in", "x.png", (20, 20), [5.6, 7.7, 0.3, 0.2], [3, 3, 4, 4]), tmp_path / "out")
    [record] = dataset.samples()
    assert [(one.area, one.box) for one in record.instances] == [(1, (5, 7, 1, 1)), (16, (3, 3, 4, 4))]
    assert [one.given.box for one in record.instances if one.given] == [(5.6, 7.7, 0.3, 0.2), (3.0, 3.0, 4.0, 4.0)]


def test_a_band_too_wide_for_memory_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = np.random.default_rng(0).integers(0, 255, (70, 300, 3)).astype(np.uint8)
    layouts.put(tmp_path / "in" / "images" / "x.png", scene)
    source = coco(tmp_path / "in", "x.png", (70, 300), [20, 20, 150, 30], [250, 5, 30, 30])
    options = PrepareOptions("coco", CropRules(32, 0.25), 1.0, workers=1)
    whole, _ = read(source, tmp_path / "a", options)
    monkeypatch.setattr(crops, "MAX_BAND", 32 * 80)
    parts, _ = read(source, tmp_path / "b", options)
    for one, other in zip(whole.samples(), parts.samples(), strict=True):
        assert [found.rle for found in one.instances] == [found.rle for found in other.instances]
        np.testing.assert_array_equal(whole.image(one), parts.image(other))
        np.testing.assert_array_equal(whole.mask(one), parts.mask(other))
