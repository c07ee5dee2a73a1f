"""`filter --apply` on folders of others: every list in the filtered folder names kept images alone, and all of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.filtering import apply as module
from earthsynth_factory.filtering.run import FilterOptions, FilterSummary, run_filter
from earthsynth_factory.io.atomic import TEMPORARY
from tests.importers import layouts
from tests.making import make_image

FLAT = np.full((48, 48, 3), 90, np.uint8)
BOX = "0 0.5 0.5 0.4 0.4\n"


def _filter(source: Path, out: Path, apply: str = "copy") -> FilterSummary:
    config = out.parent / "filter.yaml"
    config.write_text("rules: [image_quality]\nselect: []\n")
    return run_filter(source, out, FilterOptions(config=config, apply=apply, device="cpu"))  # type: ignore[arg-type]


def _picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def _text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _yolo(root: Path) -> Path:
    """`bad` is flat in train and good in val."""
    for split, name, pixels in (
        ("train", "bad", FLAT),
        ("train", "one", make_image(1)),
        ("train", "two words", make_image(2)),
        ("val", "bad", make_image(3)),
        ("val", "flat", FLAT),
    ):
        _picture(root / "images" / split / f"{name}.png", pixels)
        _text(root / "labels" / split / f"{name}.txt", BOX)
    _text(root / "train.txt", "./images/train/bad.png\n./images/train/one.png\n\n./images/train/two words.png\n")
    _text(root / "val.txt", "".join(f"{root}/images/val/{name}.png\n" for name in ("bad", "flat", "not-there")))
    _text(root / "data.yaml", f"path: {root}  # here\ntrain: train.txt\nval: '{root}/val.txt'\nnames: [ship]\n")
    return root


@pytest.mark.parametrize("apply", ["copy", "link"])
def test_yolo_split_lists_stay_valid(apply: str, tmp_path: Path) -> None:
    source = _yolo(tmp_path / "yolo")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert _filter(source, tmp_path / "out", apply).kept == 3
    made = tmp_path / "out/filtered"
    assert _names(made / "images") == ["train/one.png", "train/two words.png", "val/bad.png"]
    assert _names(made / "labels") == ["train/one.txt", "train/two words.txt", "val/bad.txt"]
    assert (made / "train.txt").read_text() == "./images/train/one.png\n\n./images/train/two words.png\n"
    assert (made / "val.txt").read_text() == f"{made}/images/val/bad.png\n{made}/images/val/not-there.png\n"
    assert "# here" in (made / "data.yaml").read_text()
    settings = YAML(typ="safe").load(made / "data.yaml")
    assert settings == {"path": str(made), "train": "train.txt", "val": f"{made}/val.txt", "names": ["ship"]}
    assert before == {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    again = _filter(made, tmp_path / "again")
    assert (again.images, again.kept) == (3, 3)


def test_a_copy_that_was_killed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out, put, count = _yolo(tmp_path / "yolo"), tmp_path / "out", module.put_file, 0

    def die(*words: object, **options: bool) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        put(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "put_file", die)
    with pytest.raises(KeyboardInterrupt):
        _filter(source, out)
    assert not (out / "filtered").exists()
    monkeypatch.setattr(module, "put_file", put)
    assert _filter(source, out).kept == 3
    _filter(source, tmp_path / "straight")
    assert _names(out / "filtered") == _names(tmp_path / "straight/filtered")
    assert [path.name for path in out.iterdir() if path.name.endswith(TEMPORARY)] == []
    made = {path: path.stat().st_mtime_ns for path in (out / "filtered").rglob("*")}
    assert _filter(source, out).kept == 3
    assert {path: path.stat().st_mtime_ns for path in (out / "filtered").rglob("*")} == made


def test_a_filtered_folder_of_other_images_is_left_alone(tmp_path: Path) -> None:
    source, out = _yolo(tmp_path / "yolo"), tmp_path / "out"
    _filter(source, out)
    _text(out / "filtered/mine.txt", "years of work")
    _picture(source / "images/train/one.png", FLAT)
    with pytest.raises(
        StoreError, match=r"filtered: would be made anew, and holds files that no filter wrote \(mine\.txt\)"
    ):
        _filter(source, out)
    assert (out / "filtered/mine.txt").read_text() == "years of work"


def test_a_filtered_folder_follows_its_source(tmp_path: Path) -> None:
    """As an export does: what the filter itself wrote is replaced."""
    source, out = _yolo(tmp_path / "yolo"), tmp_path / "out"
    _filter(source, out)
    _picture(source / "images/train/new.png", make_image(7))
    _text(source / "labels/train/new.txt", BOX)
    _text(source / "train.txt", "./images/train/new.png\n" + (source / "train.txt").read_text())
    _picture(source / "images/train/one.png", FLAT)
    assert _filter(source, out).kept == 3
    _filter(source, tmp_path / "straight")
    assert _names(out / "filtered") == _names(tmp_path / "straight/filtered")
    assert "images/train/new.png" in _names(out / "filtered")
    assert [path.name for path in out.iterdir() if path.name.endswith(TEMPORARY)] == []


def test_lists_of_a_folder_that_was_moved(tmp_path: Path) -> None:
    """Absolute paths of another machine mean the images they end like."""
    source = _yolo(tmp_path / "yolo")
    _text(source / "val.txt", "/home/someone/yolo/images/val/flat.png\n/home/someone/yolo/images/val/bad.png\n")
    _filter(source, tmp_path / "out")
    assert (tmp_path / "out/filtered/val.txt").read_text() == "/home/someone/yolo/images/val/bad.png\n"


def test_masks_leave_with_their_images_and_their_stems_from_the_lists(tmp_path: Path) -> None:
    source = tmp_path / "masks"
    for number, pixels in enumerate((make_image(0), FLAT, make_image(2))):
        _picture(source / "images" / f"{number}.png", pixels)
        mask = np.zeros((48, 48), np.uint8)
        mask[8:30, 8:30] = 1
        _picture(source / "masks" / f"{number}.png", mask)
    _text(source / "classes.json", json.dumps({"1": "ship"}))
    _text(source / "splits/train.txt", "0\n1\n")
    _text(source / "splits/pairs.txt", "images/1.png masks/1.png\nimages/2.png masks/2.png\n")
    _text(source / "notes.txt", "taken in 2020\n")
    assert _filter(source, tmp_path / "out").kept == 2
    made = tmp_path / "out/filtered"
    assert _names(made) == [
        "classes.json", "images/0.png", "images/2.png", "masks/0.png", "masks/2.png", "notes.txt",
        "splits/pairs.txt", "splits/train.txt",
    ]  # fmt: skip
    assert (made / "splits/train.txt").read_text() == "0\n"
    assert (made / "splits/pairs.txt").read_text() == "images/2.png masks/2.png\n"
    assert (made / "notes.txt").read_text() == "taken in 2020\n"


def _coco(root: Path, split: str, images: dict[str, np.ndarray]) -> None:
    listed, boxes = [], []
    for number, (name, pixels) in enumerate(images.items(), start=1):
        _picture(root / split / name, pixels)
        listed.append({"id": number, "file_name": name, "width": 48, "height": 48})
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [4, 4, 20, 20]})
    document = {"images": listed, "annotations": boxes, "categories": [{"id": 1, "name": "ship"}], "info": {"n": 1}}
    _text(root / split / "_annotations.coco.json", json.dumps(document))


def test_coco_images_of_one_name_in_two_splits_are_two(tmp_path: Path) -> None:
    source = tmp_path / "coco"
    _coco(source, "train", {"a.png": FLAT, "b.png": make_image(1)})
    _coco(source, "valid", {"a.png": make_image(2), "b.png": FLAT})
    assert _filter(source, tmp_path / "out").kept == 2
    made = tmp_path / "out/filtered"
    for split, name, identity in (("train", "b.png", 2), ("valid", "a.png", 1)):
        document = json.loads((made / split / "_annotations.coco.json").read_bytes())
        assert [image["file_name"] for image in document["images"]] == [name]
        assert [one["image_id"] for one in document["annotations"]] == [identity]
        assert document["info"] == {"n": 1}
    assert [name for name in _names(made) if name.endswith(".png")] == ["train/b.png", "valid/a.png"]


def test_one_document_alone_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    _coco(tmp_path / "coco", "train", {"b.png": make_image(1)})
    with pytest.raises(InputError, match=r"is one file; give the folder that it and its images lie in"):
        _filter(tmp_path / "coco/train/_annotations.coco.json", tmp_path / "out")
    assert not (tmp_path / "out/scores.jsonl").exists()


def test_archives_are_refused_for_a_copy_and_listed_all_the_same(tmp_path: Path) -> None:
    source = tmp_path / "packed"
    source.mkdir()
    shutil.make_archive(str(source / "train"), "zip", layouts.earthsynth(tmp_path / "plain"))
    with pytest.raises(InputError, match=r"lies in an archive, and archives are not rewritten; unpack them"):
        _filter(source, tmp_path / "out")
    assert _filter(source, tmp_path / "listed", "list").images > 0


def test_an_archive_of_another_format_is_to_be_unpacked(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "yolo"), "gztar", _yolo(tmp_path / "yolo"))
    with pytest.raises(InputError, match=r"yolo\.tar\.gz: .*must be unpacked; give the folder then"):
        _filter(tmp_path / "yolo.tar.gz", tmp_path / "out", "list")
