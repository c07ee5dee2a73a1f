"""GSNet's, EarthSynth's and ImageFolder's layouts: folders, pairs, ids, lists."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.merged import Merged
from earthsynth_factory.datasets.prepared.train_list import read_train_list
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.exports.base import KINDS, ExportSpec
from earthsynth_factory.exports.earthsynth import EarthSynthSpec
from earthsynth_factory.exports.gsnet import PARENTS, GsnetSpec
from earthsynth_factory.exports.imagefolder import ImageFolderSpec, folder_name
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.recipe.load import export_blocks
from tests.exports.stores import ODD, hashes, odd_store, read, write
from tests.making import SHIP, WATER, make_store

BOEING = 45


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return odd_store(tmp_path_factory.mktemp("store") / "odd")


def test_gsnet_pairs_have_the_same_stems_and_our_ids(store: BuildReader, tmp_path: Path) -> None:
    assert write(store, tmp_path, GsnetSpec()).notes == ()
    root = tmp_path / "gsnet"
    assert json.loads((root / "classes.json").read_text()) == [c.name for c in earthsynth()][:40]
    for split, folder in (("train", "LandDiscover50K"), ("val", "LandDiscover50K_val")):
        records = {record.stem: record for record in store.samples() if record.split == split}
        pairs = [{path.stem for path in (root / folder / part).glob("*.png")} for part in ("TR_Image", "GT_ID")]
        assert pairs == [set(records), set(records)]
        for stem, record in records.items():
            assert np.array_equal(read(root / folder / "GT_ID" / f"{stem}.png"), store.mask(record))
            assert np.array_equal(read(root / folder / "TR_Image" / f"{stem}.png"), store.image(record))


@pytest.mark.parametrize(("beyond", "written", "words"), [("parent", 16, "'plane'"), ("ignore", 255, "255 (ignored)")])
def test_gsnet_says_what_became_of_finer_classes(tmp_path: Path, beyond: str, written: int, words: str) -> None:
    store = BuildReader(make_store(tmp_path / "store", 1))
    [record] = store.samples()
    mask = np.where(store.mask(record) == SHIP, BOEING, store.mask(record)).astype(np.uint8)
    write_bytes(store.shard_of(record).mask(record.stem), encode_png(mask))
    summary = write(store, tmp_path, GsnetSpec(beyond=beyond))
    found = read(tmp_path / "gsnet" / "LandDiscover50K" / "GT_ID" / f"{record.stem}.png")
    assert np.array_equal(found == written, mask == BOEING)
    assert summary.notes == (f"written as {words}: Boeing737 ({(mask == BOEING).sum():,} pixels)",)


def _paired(labels: Path, images: Path) -> list[tuple[str, str]]:
    """File names as detectron2's `load_sem_seg` pairs them: each folder sorted by stem, digits as numbers, then in step."""

    def key(name: str) -> int | str:
        stem = Path(name).stem
        try:
            return int(stem)
        except ValueError:
            return stem

    def ordered(folder: Path) -> list[str]:
        return sorted((path.name for path in folder.iterdir() if path.name.endswith("png")), key=key)  # type: ignore[arg-type,return-value]

    return list(zip(ordered(images), ordered(labels), strict=True))


def test_gsnet_is_paired_by_detectron2(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, GsnetSpec())
    folder = tmp_path / "gsnet" / "LandDiscover50K"
    pairs = _paired(folder / "GT_ID", folder / "TR_Image")
    assert len(pairs) == 4 and all(image == label for image, label in pairs)


def test_gsnet_keeps_numbers_from_being_sorted_among_names(store: BuildReader, tmp_path: Path) -> None:
    merged = Merged([BuildReader(make_store(tmp_path / "other")), store])
    summary = write(merged, tmp_path, GsnetSpec())
    assert summary.notes[-1] == "images called image-…, since detectron2 cannot sort numbers among names: 6"
    folder = tmp_path / "gsnet" / "LandDiscover50K"
    pairs = _paired(folder / "GT_ID", folder / "TR_Image")
    assert len(pairs) == 8 and all(image == label for image, label in pairs)
    assert {image.split("-")[0] for image, _ in pairs} == {"image", "made"}


def test_every_class_beyond_gsnets_has_a_parent_in_it() -> None:
    assert sorted(PARENTS) == list(range(40, 69))
    assert all(0 < parent < 40 for parent in PARENTS.values())


def test_earthsynths_list_is_read_by_the_trainer(store: BuildReader, tmp_path: Path) -> None:
    summary = write(store, tmp_path, EarthSynthSpec())
    assert summary.notes == ()
    for split in store.splits:
        records, faults = read_train_list(tmp_path / "earthsynth" / split)
        assert faults == []
        truth = {record.stem: record for record in store.samples() if record.split == split}
        assert {record.scene for record in records} == set(truth)
        assert sum(not record.whole for record in records) == sum(len(record.classes) for record in truth.values())
        for record in records:
            mask = store.mask(truth[record.scene])
            names = {name: index for index, name in {**ODD, WATER: "water"}.items()}
            [only] = [names[record.text[21:]]] if not record.whole else [None]
            assert np.array_equal(read(record.mask), mask if only is None else np.where(mask == only, mask, 0))
            assert record.image.samefile(store.image_file(truth[record.scene]).path), "a hard link"


def test_earthsynth_without_augmentation_has_whole_lines_only(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, EarthSynthSpec(augment=False))
    records, _ = read_train_list(tmp_path / "earthsynth" / "train")
    assert len(records) == 4 and all(record.whole for record in records)
    assert not (tmp_path / "earthsynth" / "train" / "category_masks").exists()


def test_imagefolder_is_read_by_torchvision(store: BuildReader, tmp_path: Path) -> None:
    summary = write(store, tmp_path, ImageFolderSpec())
    root = tmp_path / "imagefolder"
    assert "images of several classes, of which the folder says one: 5" in summary.notes
    assert "val has no image of background: give ImageFolder allow_empty=True for the empty folders" in summary.notes
    for split in store.splits:
        data = ImageFolder(root / split, allow_empty=True)
        assert sorted(map(unquote, data.classes)) == sorted([ODD[SHIP], "background"])
        found = {Path(path).stem: unquote(data.classes[number]) for path, number in data.samples}
        records = {record.stem: record for record in store.samples() if record.split == split}
        assert found == {stem: ODD.get(record.category, "background") for stem, record in records.items()}


def test_the_table_has_every_label_of_every_image(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, ImageFolderSpec())
    names = {**ODD, WATER: "water"}
    with (tmp_path / "imagefolder" / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, record in zip(rows, store.samples(), strict=True):
        assert (tmp_path / "imagefolder" / row["image"]).is_file() and row["split"] == record.split
        assert {index for index, name in names.items() if row[name] == "1"} == set(record.classes)
        assert set(row) == {"image", "split", "class", *names.values()}


@pytest.mark.parametrize("name", ["a/b", "..", "50%", "con: 1?", "harbour."])
def test_folder_names_stay_one_folder_and_come_back(name: str) -> None:
    folder = folder_name(name)
    assert unquote(folder) == name
    assert Path(folder).name == folder and folder not in ("", ".", "..") and not set(folder) & set('/\\:*?"<>|')


SHIPPED = export_blocks(list(KINDS), [])


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.kind)
def test_every_format_is_the_same_to_the_byte_and_leaves_the_masters(
    store: BuildReader, tmp_path: Path, spec: ExportSpec
) -> None:
    masters = hashes(store.root)
    counts = [write(store, tmp_path / name, spec).counts for name in ("a", "b")]
    assert counts == [{"train": 4, "val": 2}] * 2
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert hashes(store.root) == masters


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.kind)
def test_labels_alone_on_request(store: BuildReader, tmp_path: Path, spec: ExportSpec) -> None:
    write(store, tmp_path, spec.model_copy(update={"images": "none"}))
    masters = {store.image_file(record).read_bytes() for record in store.samples()}
    assert not any(path.read_bytes() in masters for path in tmp_path.rglob("*.png"))
