"""`export`, `split` and `merge` as a stranger meets them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import orjson
import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.io.claim import MARK
from tests.cli.conftest import Run
from tests.exports.stores import crowded_store, hashes, odd_store
from tests.importers import layouts
from tests.making import SHIP, TANK, WATER, make_store

COUNT = 6


def finish(root: Path, committed: int = 2, **changes: object) -> Path:
    """What a build leaves beside its samples: how many were asked for, and the marker of every committed shard."""
    run = {**orjson.loads((root / "run.json").read_bytes()), "images": COUNT, **changes}
    (root / "run.json").write_bytes(orjson.dumps(run))
    for number in range(committed):
        (root / "shards" / f"{number:05d}.json").write_text("{}")
    return root


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return finish(make_store(tmp_path / "build", COUNT))


def _facts(record: SampleRecord) -> tuple[object, ...]:
    return record.stem, record.origin.group, record.classes, [asdict(instance) for instance in record.instances]


def coco(root: Path, split: str = "train") -> dict:  # type: ignore[type-arg]
    found: dict = json.loads((root / "coco" / "annotations" / f"instances_{split}.json").read_text())  # type: ignore[type-arg]
    return found


def test_splits_classes_and_images_are_chosen(run: Run, build: Path, tmp_path: Path) -> None:
    masters = hashes(build)
    words = ("--split", "val", "--classes", "Ships", "--images", "none", "-o", tmp_path / "out")
    code, out, _ = run("export", build, "-f", "coco,semantic", *words)
    assert code == 0
    assert out.startswith(f"{tmp_path / 'out' / 'coco'}: val 2\n")
    document = coco(tmp_path / "out", "val")
    assert [category["name"] for category in document["categories"]] == ["ship"]
    assert [image["id"] for image in document["images"]] == [3, 6], "ids are those of the whole dataset"
    assert {found["category_id"] for found in document["annotations"]} == {SHIP}
    assert not (tmp_path / "out" / "coco" / "val").exists()
    assert json.loads((tmp_path / "out" / "semantic" / "classes.json").read_text())["ids"] == [0, SHIP]
    assert hashes(build) == masters


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-f", "cocoo"), "did you mean 'coco'?"),
        (("-f", "coco", "--split", "test"), "--split test: made has no such split; it has train, val"),
        (("-f", "coco", "--classes", "shp"), "unknown category 'shp'; did you mean 'ship'"),
        (("-f", "coco", "--images", "move"), "move"),
        (("-f", " , "), "--format ' , ': names nothing; name one or more, comma-separated"),
        (("-f", "coco", "--split", ""), "--split '': names nothing"),
        (("-f", "coco", "--classes", ","), "--classes ',': names nothing"),
        (
            ("-f", "coco,webdataset,hf-parquet", "--images", "none"),
            "--images none: the files of webdataset and hf-parquet have copies of the images inside, always",
        ),
    ],
)
def test_what_is_unknown_is_named(run: Run, build: Path, words: tuple[str, ...], message: str) -> None:
    code, out, err = run("export", build, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not (build / "exports").exists()


def test_a_folder_that_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    code, _, err = run("export", tmp_path / "none", "-f", "coco")
    assert (code, err) == (2, f"error: {tmp_path / 'none'}: no such file or folder\n")


def test_formats_may_be_given_one_by_one(run: Run, build: Path) -> None:
    code, out, err = run("export", build, "-f", "coco", "-f", "semantic,dota")
    assert code == 0, err
    assert [Path(line.split(":")[0]).name for line in out.splitlines()] == ["coco", "semantic", "dota"]


def test_images_inside_an_archive_are_copies_as_asked(run: Run, build: Path, tmp_path: Path) -> None:
    code, _, err = run("export", build, "-f", "webdataset,coco", "--images", "copy", "-o", tmp_path / "out")
    assert code == 0, err
    copied = tmp_path / "out" / "coco" / "train" / "0000000.png"
    assert copied.stat().st_nlink == 1 and (tmp_path / "out" / "webdataset" / "train" / "index.json").is_file()


def test_an_unfinished_build_is_exported_on_demand_only(run: Run, tmp_path: Path) -> None:
    build = finish(make_store(tmp_path / "build", COUNT), committed=1)
    code, _, err = run("export", build, "-f", "coco")
    assert code == 2
    assert "this build is not finished, 1 of 2 shards are committed" in err and "--partial" in err
    assert run("split", build)[0] == 2
    code, out, _ = run("export", build, "-f", "coco", "--partial")
    assert (code, out) == (0, f"{build / 'exports' / 'coco'}: train 4, val 2\n")


def test_missing_masters_are_named(run: Run, build: Path) -> None:
    lost = BuildReader(build).layout.shard(0).image("0000002")
    lost.unlink()
    code, _, err = run("export", build, "-f", "coco")
    assert code == 2
    assert f"1 of 6 images are missing, bring them back or build again:\n{lost}" in err


def test_any_dataset_is_converted(run: Run, tmp_path: Path) -> None:
    source = layouts.coco_folder(tmp_path / "in")
    code, _, err = run("export", source, "-f", "coco")
    assert code == 2
    assert "nothing is written into it; give --out DIR" in err
    code, out, err = run("export", source, "-f", "coco,yolo-detect", "-o", tmp_path / "out")
    assert code == 0, err
    assert out.startswith(f"{source}: 1 images (coco: ")
    found = coco(tmp_path / "out")
    assert [item["iscrowd"] for item in found["annotations"]].count(1) == 1
    assert (tmp_path / "out" / "coco" / "train" / found["images"][0]["file_name"]).is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}, "the workspace is gone"
    code, _, err = run("export", source, "-f", "coco", "-o", source / "made")
    assert (code, "nothing is written into it; give --out DIR outside it" in err) == (2, True)
    masters = hashes(source)
    (tmp_path / "coco").mkdir()
    (source / "annotations").rename(tmp_path / "coco" / "annotations")
    (source / "images").rename(tmp_path / "coco" / "images")
    code, _, err = run("export", tmp_path / "coco", "-f", "coco", "-o", tmp_path)
    assert (code, "coco: is what the export would be made from; choose another --out" in err) == (2, True)
    assert hashes(tmp_path / "coco") == masters


def test_a_conversion_leaves_nothing_and_touches_nothing_beside_it(run: Run, tmp_path: Path) -> None:
    source = layouts.coco_folder(tmp_path / "in")
    left = tmp_path / ".out.converting" / "images" / "half.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    code, out, err = run("export", source, "-f", "coco", "-o", tmp_path / "out")
    assert code == 0, err
    assert out.startswith(f"{source}: 1 images")
    assert left.read_bytes() == b"half", "it is not ours"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", "coco"}


def test_a_conversion_killed_while_its_workspace_goes_is_made_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = layouts.coco_folder(tmp_path / "in")
    with monkeypatch.context() as half:
        half.setattr("shutil.rmtree", lambda folder, **_: (folder / MARK).unlink(missing_ok=True))
        assert run("export", source, "-f", "coco", "-o", tmp_path / "out")[0] == 0
    assert len(list((tmp_path / "out").glob("*/images"))) + len(list((tmp_path / "out").glob(".*/images"))) > 0
    code, _, err = run("export", source, "-f", "coco", "-o", tmp_path / "out")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", "coco"}


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_flags_come_back_through_coco(run: Run, tmp_path: Path, flag: str) -> None:
    build = finish(crowded_store(tmp_path / "build", flag).root, committed=1, images=1)
    assert run("export", build, "-f", "coco", "-o", tmp_path / "a")[0] == 0
    code, _, err = run("export", tmp_path / "a" / "coco", "-f", "prepared", "-o", tmp_path / "b")
    assert code == 0, err
    back = PreparedDataset(tmp_path / "b" / "prepared")
    flags = [sorted((one.box, one.flags) for r in dataset.samples() for one in r.instances)
             for dataset in (BuildReader(build), back)]  # fmt: skip
    assert flags[0] == flags[1] and any(found == (flag,) for _, found in flags[1])


def test_semantic_masks_come_back_through_the_importer(run: Run, build: Path, tmp_path: Path) -> None:
    assert run("export", build, "-f", "semantic", "-o", tmp_path / "a")[0] == 0
    code, _, err = run("export", tmp_path / "a" / "semantic", "-f", "prepared", "-o", tmp_path / "b")
    assert code == 0, err
    source, back = BuildReader(build), PreparedDataset(tmp_path / "b" / "prepared")
    mine = {record.stem: record for record in back.samples()}
    for record in source.samples():
        assert mine[record.stem].split == record.split
        assert np.array_equal(back.mask(mine[record.stem]), source.mask(record))


def test_a_coco_export_comes_back_through_the_importer(run: Run, build: Path, tmp_path: Path) -> None:
    assert run("export", build, "-f", "coco", "-o", tmp_path / "a")[0] == 0
    code, _, err = run("export", tmp_path / "a" / "coco", "--kind", "coco", "-f", "coco", "-o", tmp_path / "b")
    assert code == 0, err
    for split in ("train", "val"):
        masks = []
        for root in (tmp_path / "a", tmp_path / "b"):
            document = coco(root, split)
            names = {image["id"]: image["file_name"] for image in document["images"]}
            masks.append(
                sorted(
                    (names[one["image_id"]], one["category_id"], one["segmentation"]["counts"], one["area"])
                    for one in document["annotations"]
                )
            )
            assert len(names) == len([r for r in BuildReader(build).samples() if r.split == split])
        assert masks[0] == masks[1]


def test_split_keeps_groups_whole_and_the_dataset_as_it_is(run: Run, build: Path, tmp_path: Path) -> None:
    before = hashes(build)
    code, out, err = run("split", build, "--ratios", "0.5,0.5", "-o", tmp_path / "out")
    assert code == 0, err
    assert out.startswith(f"{tmp_path / 'out'}: train 3, val 3\n")
    assert f"note: {build}: prompts, scores, seeds and targets of this build stay there" in out
    assert "groups in several splits: 0" in out
    assert hashes(build) == before
    old, new = BuildReader(build), open_dataset(tmp_path / "out")
    for one, other in zip(old.samples(), new.samples(), strict=True):
        assert _facts(other) == _facts(one)
        assert np.array_equal(new.mask(other), old.mask(one))
        assert np.array_equal(new.instances(other), old.instances(one))
        assert new.image_file(other).path.samefile(old.image_file(one).path)
    run("split", build, "--ratios", "0.5,0.5", "-o", tmp_path / "again")
    assert hashes(tmp_path / "out") == hashes(tmp_path / "again")


def test_leaks_are_reported(run: Run, build: Path) -> None:
    reader = BuildReader(build)
    records = list(reader.samples())
    train, val = records[0], records[2]
    reader.image_file(val).path.write_bytes(reader.image_file(train).read_bytes())
    journal = reader.layout.shard(0).samples
    journal.write_bytes(journal.read_bytes().replace(b'"group":"group2"', b'"group":"group0"'))
    code, out, _ = run("split", build)
    assert code == 0
    assert out == (
        "groups in several splits: 1\n  group0: train, val\n"
        "images that look the same in two splits: 1\n  train/0000000 and val/0000002\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--ratios", "0.5,0.6", "--out", "x"), "the shares sum to 1.1"),
        (("--ratios", "a,b", "--out", "x"), "write shares"),
        (("--ratios", "train=0.5,train=0.5", "--out", "x"), "a split is named twice"),
        (("--ratios", "0.25,0.25,0.25,0.25", "--out", "x"), "more than three shares need names"),
        (("--ratios", "0.5,0.5"), "--ratios and --out go together"),
    ],
)
def test_ratios_that_make_no_sense(run: Run, build: Path, words: tuple[str, ...], message: str) -> None:
    code, _, err = run("split", build, *words)
    assert code == 2
    assert message in err


def test_merge_goes_by_name_and_says_what_it_did(run: Run, build: Path, tmp_path: Path) -> None:
    odd = finish(odd_store(tmp_path / "odd", COUNT).root)
    code, out, err = run("merge", build, odd, "-o", tmp_path / "out")
    assert code == 0, err
    assert out.startswith(f"{tmp_path / 'out'}: train 8, val 4\n")
    assert f"note: {odd}: 'no' ({SHIP}) is 'no' (69)\n" in out
    assert f"note: {odd}: 6 images were renamed, their names were taken (0000000 is made-0000000)\n" in out
    assert "groups in several splits: 0" in out
    merged, source = PreparedDataset(tmp_path / "out"), BuildReader(odd)
    mine = {record.stem: record for record in merged.samples()}
    for record in BuildReader(build).samples():
        assert _facts(mine[record.stem]) == _facts(record), "the first dataset keeps its ids"
    for record in source.samples():
        found = mine[f"made-{record.stem}"]
        names = [merged.taxonomy[one.category].name for one in found.instances]
        assert names == [source.taxonomy[one.category].name for one in record.instances]
        theirs, ours = source.mask(record), merged.mask(found)
        assert {(int(a), int(b)) for a, b in zip(theirs.ravel(), ours.ravel(), strict=True)} <= {
            (0, 0), (WATER, WATER), (SHIP, 69), (TANK, 70)
        }  # fmt: skip


def test_merge_refuses_what_it_cannot_resolve(run: Run, build: Path, tmp_path: Path) -> None:
    odd = finish(odd_store(tmp_path / "odd", COUNT).root)
    other = finish(odd_store(tmp_path / "other", COUNT).root)
    record = orjson.loads((other / "run.json").read_bytes())
    for category in record["taxonomy"]:
        category["thing"] = category["thing"] and category["id"] != SHIP
    (other / "run.json").write_bytes(orjson.dumps(record))
    code, _, err = run("merge", odd, other, "-o", tmp_path / "out")
    assert code == 2
    assert f"{other}: category 'no' is land cover here and countable in {odd}; rename one of them" in err
    assert not (tmp_path / "out").exists()
    code, _, err = run("merge", build, build, "-o", tmp_path / "out")
    assert (code, "name two datasets or more, each once" in err) == (2, True)
    code, _, err = run("merge", build, odd, "-o", build)
    assert (code, f"{build}: not empty and no merge of ours" in err) == (2, True)


@pytest.mark.parametrize("kind", ["yolo-detect", "voc", "dota"])
def test_boxes_come_back_through_the_importers(run: Run, build: Path, tmp_path: Path, kind: str) -> None:
    assert run("export", build, "-f", kind, "-o", tmp_path / "a")[0] == 0
    reader = kind.partition("-")[0]
    code, _, err = run("export", tmp_path / "a" / kind, "--kind", reader, "-f", "prepared", "-o", tmp_path / "b")
    assert code == 0, err
    # The DOTA reader puts its name before the stems.
    back = {
        record.stem.removeprefix("DOTA_"): record for record in PreparedDataset(tmp_path / "b" / "prepared").samples()
    }
    for record in BuildReader(build).samples():
        theirs = sorted((one.category, one.box) for one in back[record.stem].instances)
        assert theirs == sorted((one.category, one.box) for one in record.instances)
