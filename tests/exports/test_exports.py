"""Exports read back by independent readers: pycocotools, supervision, cv2."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import FactoryError, InputError
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.coco import CocoSpec
from earthsynth_factory.exports.prepared import PreparedSpec
from earthsynth_factory.exports.semantic import SemanticSpec
from earthsynth_factory.exports.write import export
from tests.exports.stores import hashes
from tests.making import SHIP, TANK, WATER, make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return BuildReader(make_store(tmp_path_factory.mktemp("store")))


def _write(store: BuildReader, out: Path, *specs: ExportSpec) -> list[ExportSummary]:
    return export(store, specs, out, lambda _: None)


def _coco(out: Path, split: str) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(out / "coco" / "annotations" / f"instances_{split}.json")


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_truth_as_detections_scores_one(store: BuildReader, tmp_path: Path, split: str, kind: str) -> None:
    _write(store, tmp_path, CocoSpec())
    truth = _coco(tmp_path, split)
    found = [{**item, "score": 0.9} for item in truth.dataset["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        judged = COCOeval(truth, truth.loadRes(found), kind)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    assert judged.stats[0] == 1.0


def test_masks_come_back_exactly_and_negatives_stay(store: BuildReader, tmp_path: Path) -> None:
    _write(store, tmp_path, CocoSpec())
    numbers, bare = [], 0
    for record in store.samples():
        coco = _coco(tmp_path, record.split)
        items = coco.imgToAnns[record.slot + 1]
        bare += not items
        for item, instance in zip(items, record.instances, strict=True):
            mask = coco.annToMask(item).astype(bool)
            assert np.array_equal(mask, store.instances(record) == instance.id)
            assert (item["area"], item["bbox"], item["iscrowd"]) == (mask.sum(), list(instance.box), 0)
            numbers.append(item["id"])
    assert numbers == list(range(1, len(numbers) + 1))
    assert bare == 1


def test_supervision_reads_the_same_objects(store: BuildReader, tmp_path: Path) -> None:
    _write(store, tmp_path, CocoSpec())
    for split in store.splits:
        data = supervision.DetectionDataset.from_coco(
            str(tmp_path / "coco" / split), str(tmp_path / "coco" / "annotations" / f"instances_{split}.json"), True
        )
        records = {record.stem: record for record in store.samples() if record.split == split}
        assert {Path(path).stem for path, _, _ in data} == set(records)
        for path, _, found in data:
            record = records[Path(path).stem]
            assert len(found) == len(record.instances)
            for number, mask in zip(
                (item.id for item in record.instances), found.mask if len(found) else [], strict=True
            ):
                truth = store.instances(record) == number
                assert (mask & truth).sum() / (mask | truth).sum() >= 0.99


def test_polygons_report_what_they_lose(store: BuildReader, tmp_path: Path) -> None:
    [summary] = _write(store, tmp_path, CocoSpec(polygons=True))
    assert "mean IoU" in summary.notes[0]
    assert summary.figures["polygon_iou"] == 1.0, "holes become cuts"
    two_parts = [item for item in _coco(tmp_path, "train").dataset["annotations"] if len(item["segmentation"]) == 2]
    assert {item["category_id"] for item in two_parts} == {SHIP}


def test_semantic_masks_hold_contiguous_ids(store: BuildReader, tmp_path: Path) -> None:
    _write(store, tmp_path, SemanticSpec())
    table = json.loads((tmp_path / "semantic" / "classes.json").read_text())
    assert table["ids"] == [0, WATER, SHIP, TANK]
    for record in store.samples():
        written = cv2.imread(str(tmp_path / "semantic" / "ann_dir" / record.split / f"{record.stem}.png"), -1)
        colors = np.array(table["palette"])[np.searchsorted(table["ids"], store.mask(record))]
        assert np.array_equal(written[..., 2::-1], colors)


def test_a_background_that_nobody_labelled_is_said(tmp_path: Path) -> None:
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": "made", "classes": {}, "items": {}}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    for spec, said in ((SemanticSpec(), True), (SemanticSpec(ignore_background=True), False)):
        [summary] = export(PreparedDataset(tmp_path), [spec], tmp_path / "out", lambda _: None)
        assert bool(summary.notes) == said
    [summary] = export(PreparedDataset(tmp_path), [SemanticSpec()], tmp_path / "out", lambda _: None)
    assert "semantic.ignore_background=true makes it 255" in summary.notes[0]


def test_background_is_ignored_on_request(store: BuildReader, tmp_path: Path) -> None:
    _write(store, tmp_path, SemanticSpec(ignore_background=True))
    assert json.loads((tmp_path / "semantic" / "classes.json").read_text())["ids"] == [WATER, SHIP, TANK]


def test_the_same_store_gives_the_same_bytes_and_replaces_an_older_export(store: BuildReader, tmp_path: Path) -> None:
    masters = hashes(store.root)
    _write(store, tmp_path / "a", CocoSpec(), SemanticSpec())
    _write(store, tmp_path / "b", CocoSpec(polygons=True))
    _write(store, tmp_path / "b", CocoSpec(), SemanticSpec())
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert hashes(store.root) == masters


def test_an_export_that_would_be_the_same_is_left_as_it_is(store: BuildReader, tmp_path: Path) -> None:
    [first] = export(store, [CocoSpec()], tmp_path, lambda _: None)
    (tmp_path / "coco/weights.pt").write_text("years of work")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    [again] = export(store, [CocoSpec()], tmp_path, lambda _: None)
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_export_with_files_of_others_is_not_replaced(store: BuildReader, tmp_path: Path) -> None:
    _write(store, tmp_path, CocoSpec())
    (tmp_path / "coco/train/labels.cache").write_text("years of work")
    with pytest.raises(
        InputError, match=r"coco: holds files that no export wrote \(train/labels.cache\); move them away"
    ):
        _write(store, tmp_path, CocoSpec(polygons=True))
    assert (tmp_path / "coco/train/labels.cache").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "coco"]


class _Failing(ExportSpec):
    kind: str = "coco"

    def write(self, store: BuildReader, out: Path, progress: Progress) -> ExportSummary:  # noqa: ARG002
        (out / "half.json").write_text("{")
        raise OSError(28, "No space left on device")


def test_a_failed_export_leaves_the_older_one(store: BuildReader, tmp_path: Path) -> None:
    _write(store, tmp_path, CocoSpec())
    before = hashes(tmp_path / "coco")
    with pytest.raises(FactoryError, match="the disk is full"):
        _write(store, tmp_path, _Failing())
    assert hashes(tmp_path / "coco") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "coco"], "nothing half is left"


def test_what_no_export_wrote_is_never_replaced(store: BuildReader, tmp_path: Path) -> None:
    kept = tmp_path / "semantic" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("precious")
    with pytest.raises(InputError, match=r"semantic: holds what no export wrote; move it away or choose another --out"):
        _write(store, tmp_path, CocoSpec(), SemanticSpec())
    assert kept.read_text() == "precious" and not (tmp_path / "coco").exists()
    with pytest.raises(InputError, match=r"thesis.txt: is a file; choose a folder for --out"):
        _write(store, kept, CocoSpec())
    kept.unlink()
    _write(store, tmp_path, SemanticSpec())


def test_an_export_never_replaces_what_it_is_made_from(store: BuildReader, tmp_path: Path) -> None:
    _write(store, tmp_path, PreparedSpec())
    before = hashes(tmp_path)
    with pytest.raises(InputError, match="prepared: is what the export would be made from; choose another --out"):
        export(PreparedDataset(tmp_path / "prepared"), [PreparedSpec()], tmp_path, lambda _: None)
    assert hashes(tmp_path) == before


def _peak_mb(kind: str, images: int, folder: Path) -> float:
    """Peak memory of writing this many made-up images with 20 objects each, in a process of its own."""
    folder.mkdir()
    run = [sys.executable, "-m", "tests.benchmarks.exporting", "--one", kind, str(images), str(folder)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return float(json.loads(done.stdout)["peak_mb"])


@pytest.mark.parametrize(("kind", "many"), [("coco", 20_000), ("webdataset", 1500), ("prepared", 1500)])
def test_memory_stays_flat(tmp_path: Path, kind: str, many: int) -> None:
    assert _peak_mb(kind, many, tmp_path / "many") - _peak_mb(kind, 300, tmp_path / "few") < 8
