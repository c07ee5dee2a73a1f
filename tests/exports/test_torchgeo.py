"""torchgeo's readers, where it is installed: its base for classification, and its reader of DOTA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.dota import DotaSpec
from earthsynth_factory.exports.geotiff import GeotiffSpec
from earthsynth_factory.exports.imagefolder import ImageFolderSpec
from tests.exports.stores import write
from tests.exports.test_maps import PLACES, placed
from tests.making import make_store

datasets = pytest.importorskip("torchgeo.datasets")


def test_dota_by_its_reader(tmp_path: Path) -> None:
    store = BuildReader(make_store(tmp_path / "store"))
    write(store, tmp_path, DotaSpec())
    records = [record for record in store.samples() if record.split == "train"]
    root = tmp_path / "dota"
    # It wants DOTA 2.0's folder for the labels, and the list of images that comes with its own downloads.
    (root / "train" / "annotations").mkdir()
    (root / "train" / "labelTxt").rename(root / "train" / "annotations" / "version2.0")
    rows = [f"train/images/{r.stem}.png,train/annotations/version2.0/{r.stem}.txt,train,2.0" for r in records]
    (root / "samples.csv").write_text("\n".join(["image_path,annotation_path,split,version", *rows, ""]))
    data = datasets.DOTA(root, split="train", version="2.0", bbox_orientation="horizontal")
    assert len(data) == len(records) > 0
    for found, record in zip(data, records, strict=True):
        assert np.array_equal(found["image"].numpy().transpose(1, 2, 0), store.image(record))
        boxes = np.array([one.box for one in record.instances], dtype=np.float32).reshape(-1, 4)
        assert np.array_equal(found["bbox_xyxy"].numpy(), np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]))
        names = [data.classes[number].replace("-", " ") for number in found["labels"]]
        assert names == [store.taxonomy[one.category].name for one in record.instances]


def test_images_by_class(tmp_path: Path) -> None:
    store = BuildReader(make_store(tmp_path / "store"))
    write(store, tmp_path, ImageFolderSpec())
    data = datasets.NonGeoClassificationDataset(tmp_path / "imagefolder" / "train")
    records = {record.stem: record for record in store.samples() if record.split == "train"}
    assert len(data) == len(records) > 0
    for found, (path, _) in zip(data, data.imgs, strict=True):
        record = records[Path(path).stem]
        assert np.array_equal(found["image"].numpy().transpose(1, 2, 0), store.image(record))
        name = "background" if record.category is None else store.taxonomy[record.category].name
        assert data.classes[int(found["label"])] == name


def test_georeferenced_images_meet_their_labels(tmp_path: Path) -> None:
    store = placed(tmp_path / "store", "EPSG:32640")
    write(store, tmp_path, GeotiffSpec())

    class Images(datasets.RasterDataset):
        filename_glob = "*.tif"
        is_image = True

    class Labels(datasets.RasterDataset):
        filename_glob = "*.tif"
        is_image = False

    records = [record for record in store.samples() if record.split == "train"]
    folder = tmp_path / "geotiff" / "train"
    both = datasets.IntersectionDataset(Images(folder / "images"), Labels(folder / "labels"))
    assert both.crs.to_epsg() == 32640
    [record] = records[:1]
    a, _, left, _, e, top = PLACES["EPSG:32640"]
    across, down = slice(left, left + a * record.width, a), slice(top + e * record.height, top, -e)
    found = both[across, down]
    assert np.array_equal(found["image"].numpy().transpose(1, 2, 0).round().astype(np.uint8), store.image(record))
    assert np.array_equal(found["mask"].numpy().squeeze(), store.mask(record))
