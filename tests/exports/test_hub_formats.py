"""WebDataset shards and Parquet files, read by their own libraries; the card beside them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import InputError
from earthsynth_factory.exports import parquet
from earthsynth_factory.exports.parquet import ParquetSpec
from earthsynth_factory.exports.webdataset import WebDatasetSpec
from earthsynth_factory.geometry.rle import decode
from tests.exports.stores import ODD, hashes, odd_store, write
from tests.making import SHIP

NAMES = {**ODD, 6: "water"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return odd_store(tmp_path_factory.mktemp("store") / "odd")


def test_webdataset_gives_every_image_mask_and_object(store: BuildReader, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    write(store, tmp_path, WebDatasetSpec(shard_images=3))
    root = tmp_path / "webdataset"
    assert [path.name for path in sorted((root / "train").glob("*.tar"))] == ["train-000000.tar", "train-000001.tar"]
    records = {f"{record.slot:07d}": record for record in store.samples()}
    seen = []
    for archive in sorted(root.rglob("*.tar")):
        for sample in webdataset.WebDataset(str(archive), shardshuffle=False):
            record = records[sample["__key__"]]
            seen.append(sample["__key__"])
            assert sample["png"] == store.image_file(record).read_bytes()
            about = json.loads(sample["json"])
            assert (about["split"], about["caption"]) == (record.split, record.prompt)
            assert [found["category"] for found in about["objects"]] == [NAMES[i.category] for i in record.instances]
            for found, instance in zip(about["objects"], record.instances, strict=True):
                mask = decode(found["segmentation"]["counts"], *found["segmentation"]["size"])
                assert np.array_equal(mask, store.instances(record) == instance.id)
                assert found["bbox"] == list(instance.box)
    assert sorted(seen) == sorted(records)


def test_webdataset_decodes_masks_and_lists_its_shards(store: BuildReader, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    write(store, tmp_path, WebDatasetSpec(shard_images=3))
    folder = tmp_path / "webdataset" / "train"
    index = json.loads((folder / "index.json").read_text())
    assert [shard["nsamples"] for shard in index["shardlist"]] == [3, 1]
    for shard in index["shardlist"]:
        data = (folder / shard["url"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard["filesize"], shard["sha256"])
    first = next(iter(webdataset.WebDataset(str(folder / "train-000000.tar"), shardshuffle=False).decode("pil")))
    record = next(store.samples())
    assert np.array_equal(np.asarray(first["mask.png"].convert("L")), store.mask(record))
    assert np.array_equal(np.asarray(first["png"]), store.image(record))


def test_load_dataset_has_pictures_and_class_names(
    store: BuildReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    write(store, tmp_path, ParquetSpec(shard_images=3))
    root = tmp_path / "hf-parquet"
    loaded = datasets.load_dataset(str(root), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 4, "val": 2}
    by_id = {record.slot + 1: record for record in store.samples()}
    for split, rows in loaded.items():
        names = rows.features["classes"].feature.names
        for row in rows:
            record = by_id.pop(row["id"])
            assert record.split == split
            assert np.array_equal(np.asarray(row["image"]), store.image(record))
            assert np.array_equal(np.asarray(row["mask"]), store.mask(record))
            assert np.array_equal(np.asarray(row["instances"]), store.instances(record))
            assert [names[label] for label in row["classes"]] == [NAMES[category] for category in record.classes]
            assert [found["bbox"] for found in row["objects"]] == [list(one.box) for one in record.instances]
            assert [names[found["category"]] for found in row["objects"]] == [
                NAMES[i.category] for i in record.instances
            ]
            for found, one in zip(row["objects"], record.instances, strict=True):
                mask = decode(found["segmentation"], row["height"], row["width"])
                assert mask.sum() == found["area"] == one.area
    assert by_id == {}


def test_a_row_group_ends_early_where_pictures_are_large(
    store: BuildReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = pytest.importorskip("pyarrow.parquet")
    for limit, groups in ((1 << 26, [4]), (10_000, [2, 2])):
        monkeypatch.setattr(parquet, "BYTES", limit)
        write(store, tmp_path / str(limit), ParquetSpec())
        about = reader.ParquetFile(
            tmp_path / str(limit) / "hf-parquet" / "data" / "train-00000-of-00001.parquet"
        ).metadata
        assert [about.row_group(number).num_rows for number in range(about.num_row_groups)] == groups


@pytest.mark.parametrize("spec", [WebDatasetSpec(shard_images=2), ParquetSpec(shard_images=2)])
def test_equal_stores_give_equal_bytes(store: BuildReader, tmp_path: Path, spec: WebDatasetSpec | ParquetSpec) -> None:
    if spec.kind == "hf-parquet":
        pytest.importorskip("pyarrow")
    for folder in ("a", "b"):
        write(store, tmp_path / folder, spec)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") != {}


def test_the_card_opens_with_what_a_hub_reads(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, WebDatasetSpec())
    text = (tmp_path / "webdataset" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    facts = YAML(typ="safe").load(front)
    assert (facts["pretty_name"], facts["license"], facts["size_categories"]) == ("made", "unknown", ["n<1K"])
    assert [entry["split"] for entry in facts["configs"][0]["data_files"]] == ["train", "val"]
    assert f"| {ODD[SHIP]} | {SHIP} |" in body
    assert "fingerprint 0123456789abcdef" in body


def test_parquet_without_its_library_says_what_to_install(
    store: BuildReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"hf-parquet: needs pyarrow.*pip install 'earthsynth-factory\[parquet\]'"):
        write(store, tmp_path, ParquetSpec())
    assert not (tmp_path / "hf-parquet").exists()
