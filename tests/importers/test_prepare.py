"""The way from a folder to the prepared layout: crops, records, resuming, and what never happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from earthsynth_factory.datasets.prepared.masks import find_masks
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import InputError, SourceError, StoreError
from earthsynth_factory.exports.coco import CocoSpec
from earthsynth_factory.exports.write import export
from earthsynth_factory.geometry.rle import decode
from earthsynth_factory.importers import prepare as prepare_module
from earthsynth_factory.importers.crops import CropRules, starts
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from earthsynth_factory.importers.readers.masks import Masks
from tests.importers import layouts

SMALL = PrepareOptions(rules=CropRules(side=32, overlap=0.25), keep_empty=1.0, workers=1)


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def contents(folder: Path, *left_out: str) -> dict[str, bytes]:
    return {name: data for name, (data, _) in tree(folder).items() if name not in left_out}


def test_windows_cover_everything_and_end_flush() -> None:
    for length in (1, 31, 32, 33, 100, 1000):
        places = starts(length, 32, 0.25)
        covered = np.zeros(length, bool)
        for place in places:
            covered[place : place + 32] = True
        assert covered.all()
        assert places[-1] == max(length - 32, 0)
        assert len(set(places)) == len(places)


def test_crops_are_the_source_pixels_and_share_a_group(tmp_path: Path) -> None:
    source = layouts.loveda(tmp_path / "in")
    prepare(source, tmp_path / "out", SMALL)
    dataset = PreparedDataset(tmp_path / "out")
    assert {item.group for item in dataset.about.items.values()} == {"LD_3"}
    items = json.loads((tmp_path / "out" / "dataset.json").read_text())["items"]
    original = layouts.image(tmp_path / "same.png")
    import cv2

    whole = cv2.imread(str(original))[..., ::-1]
    truth = np.array([255, 0, 8, 7], np.uint8)[np.arange(layouts.W) * 4 // layouts.W][None].repeat(layouts.H, 0)
    for stem, item in items.items():
        top, left = item["corner"]
        place = np.s_[top : top + 32, left : left + 32]
        np.testing.assert_array_equal(dataset.read_image(stem), whole[place])
        np.testing.assert_array_equal(dataset.read_mask(stem), truth[place])


def test_objects_cut_by_the_border_are_flagged_or_dropped(tmp_path: Path) -> None:
    source = layouts.dota(tmp_path / "in")
    line = "28 4 48 4 48 14 28 14 ship 0\n"  # 20 px wide: 4 in the first window of 32, 20 in the second at 24
    layouts.text(source / "train" / "labelTxt" / "P0001.txt", line)
    prepare(source, tmp_path / "out", SMALL)
    records = {record.stem: record for record in PreparedDataset(tmp_path / "out").samples()}
    seen = {stem: [one.visible for one in record.instances] for stem, record in records.items() if record.instances}
    assert seen == {"DOTA_P0001_1": [1.0]}, "one fifth of the ship is too little for the first crop"
    mask = PreparedDataset(tmp_path / "out").mask(records["DOTA_P0001_0"])
    assert (mask[4:14, 28:] == 17).all() and (mask > 0).sum() == 40, "its pixels are ship all the same"
    lax = PrepareOptions(rules=CropRules(32, 0.25, min_visible=0.1), workers=1)
    prepare(source, tmp_path / "lax", lax)
    records = {record.stem: record for record in PreparedDataset(tmp_path / "lax").samples()}
    [cut] = records["DOTA_P0001_0"].instances
    assert (cut.visible, cut.truncated, cut.area) == (0.2, True, 40)


def test_small_objects_lie_over_large_ones_and_keep_their_full_masks(tmp_path: Path) -> None:
    document = layouts.coco_document()
    big = layouts._annotation(8, 9, [[10.0, 5.0, 60.0, 5.0, 60.0, 45.0, 10.0, 45.0]], [10, 5, 50, 40])
    source = layouts.coco_folder(tmp_path / "in", {**document, "annotations": [*document["annotations"][:1], big]})
    prepare(source, tmp_path / "out", PrepareOptions(rules=CropRules(0), workers=1))
    dataset = PreparedDataset(tmp_path / "out")
    record = next(dataset.samples())
    assert sorted(one.area for one in record.instances) == [400, 2000]
    assert (dataset.mask(record)[10:30, 20:40] == 25).all()
    assert np.unique(dataset.instances(record)).tolist() == [0, 1, 2]


def test_empty_crops_are_kept_at_the_share_asked(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number in range(40):
        layouts.image(source / "images" / f"{number}.png", number, 32, 32)
        layouts.put(source / "masks" / f"{number}.png", np.zeros((32, 32), np.uint8))
    layouts.image(source / "images" / "full.png", 99, 32, 32)
    layouts.put(source / "masks" / "full.png", np.ones((32, 32), np.uint8))
    layouts.text(source / "classes.json", '{"1": "road"}')
    kept = {}
    for share in (0.0, 0.5, 1.0):
        options = PrepareOptions(rules=CropRules(32), keep_empty=share, workers=1)
        summary = prepare(source, tmp_path / str(share), options)
        kept[share] = summary.images
        assert summary.left_out.get("empty crop", 0) + summary.images == 41
    assert (kept[0.0], kept[1.0]) == (1, 41)
    assert 10 < kept[0.5] < 32


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    source = layouts.samrs(tmp_path / "in")
    prepare(source, tmp_path / "out", SMALL)
    before = tree(tmp_path / "out")
    prepare(source, tmp_path / "out", SMALL)
    after = tree(tmp_path / "out")
    assert after == before, "not even a file's time"


def test_a_changed_source_is_done_again_and_a_new_one_added(tmp_path: Path) -> None:
    source = layouts.openearthmap(tmp_path / "in")
    options = PrepareOptions(rules=CropRules(0), workers=1)
    prepare(source, tmp_path / "out", options)
    layouts.put(source / "aachen" / "labels" / "aachen_1.tif", layouts.stripes([5, 6]))
    layouts.put(source / "aachen" / "labels" / "aachen_9.tif", layouts.stripes([2]))
    layouts.image(source / "aachen" / "images" / "aachen_9.tif", 9)
    assert prepare(source, tmp_path / "out", options).images == 3
    assert set(np.unique(PreparedDataset(tmp_path / "out").read_mask("OEMxBD_aachen_1"))) == {5, 6}


def test_other_options_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    source = layouts.loveda(tmp_path / "in")
    prepare(source, tmp_path / "out", SMALL)
    with pytest.raises(StoreError, match=r"was made with keep_empty 1.0 \(now 0.5\)"):
        prepare(source, tmp_path / "out", PrepareOptions(rules=SMALL.rules, keep_empty=0.5, workers=1))
    layouts.text(tmp_path / "full" / "precious.txt", "mine")
    with pytest.raises(StoreError, match="not empty and no prepare of ours"):
        prepare(source, tmp_path / "full", SMALL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (PrepareOptions(rules=CropRules(8)), "--crop 8"),
        (PrepareOptions(rules=CropRules(overlap=0.99)), "--overlap 0.99"),
        (PrepareOptions(keep_empty=-1), "--keep-empty -1"),
    ],
)
def test_impossible_options_are_named(options: PrepareOptions, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        prepare(layouts.loveda(tmp_path / "in"), tmp_path / "out", options)


def test_out_inside_the_source_is_refused(tmp_path: Path) -> None:
    source = layouts.loveda(tmp_path / "in")
    with pytest.raises(InputError, match="choose a folder outside"):
        prepare(source, source / "out", SMALL)


def many(root: Path, count: int) -> Path:
    for number in range(count):
        layouts.image(root / "images" / f"{number:03}.png", number)
        layouts.put(root / "masks" / f"{number:03}.png", layouts.stripes([number % 2, 2]))
    layouts.text(root / "classes.json", '{"1": "road", "2": "building"}')
    return root


def test_workers_make_no_difference(tmp_path: Path) -> None:
    source = many(tmp_path / "in", 12)
    rules = CropRules(32, 0.25)
    for workers in (1, 2):
        prepare(source, tmp_path / f"w{workers}", PrepareOptions(rules=rules, augment=True, workers=workers))
    journal = ("prepare.jsonl",)  # the order in which scenes were done
    assert contents(tmp_path / "w1", *journal) == contents(tmp_path / "w2", *journal)


def test_killed_runs_go_on_and_end_in_the_same_files(tmp_path: Path) -> None:
    source = many(tmp_path / "in", 60)
    script = (
        "import sys; from pathlib import Path\n"
        "from earthsynth_factory.importers import prepare_journal; prepare_journal.FLUSH_SECONDS = 0.05\n"
        "from earthsynth_factory.importers.crops import CropRules\n"
        "from earthsynth_factory.importers.prepare import PrepareOptions, prepare\n"
        "prepare(Path(sys.argv[1]), Path(sys.argv[2]), PrepareOptions(rules=CropRules(32, 0.25), augment=True, workers=1))\n"
    )
    out, journal = tmp_path / "out", tmp_path / "out" / "prepare.jsonl"
    for lines in (1, 15, 40):
        process = subprocess.Popen([sys.executable, "-c", script, str(source), str(out)])
        while process.poll() is None and (not journal.is_file() or journal.read_bytes().count(b"\n") < lines):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = journal.read_bytes()
    assert done.count(b"\n") >= 40
    journal.write_bytes(done + b'{"scene": "torn')
    options = PrepareOptions(rules=CropRules(32, 0.25), augment=True, workers=1)
    prepare(source, out, options)
    prepare(source, tmp_path / "straight", options)
    assert contents(out, "prepare.jsonl") == contents(tmp_path / "straight", "prepare.jsonl")


def test_a_scene_that_kills_its_worker_is_a_fault_and_the_rest_is_done(tmp_path: Path) -> None:
    source = many(tmp_path / "in", 6)
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.importers.test_prepare import Deadly\n"
        "from earthsynth_factory.importers import readers\n"
        "from earthsynth_factory.importers.crops import CropRules\n"
        "readers.READERS['deadly'] = Deadly()\n"
        "if __name__ == '__main__':\n"
        "    from earthsynth_factory.importers.prepare import PrepareOptions, prepare\n"
        "    options = PrepareOptions('deadly', CropRules(0), workers=2)\n"
        "    print(prepare(Path(sys.argv[1]), Path(sys.argv[2]), options).images)\n"
    )
    (tmp_path / "run.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(tmp_path / "run.py"), str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "5"
    assert "003.png: reading it ended the process" in (tmp_path / "out" / "problems.txt").read_text()


@pytest.mark.parametrize("error", [BrokenProcessPool, BrokenPipeError])
def test_a_scene_that_a_broken_pool_did_not_take_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """A worker dies after another has given its record, and before the next scene is handed out."""
    taken: list[int] = []

    def submit(pool: ProcessPoolExecutor, *given: Any) -> Any:
        taken.append(1)
        if len(taken) == 3:
            raise error("a worker is gone")
        return given_to(pool, *given)

    given_to = ProcessPoolExecutor.submit
    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    monkeypatch.setattr(prepare_module, "IN_FLIGHT", 1)
    found = prepare(many(tmp_path / "in", 6), tmp_path / "out", PrepareOptions(rules=CropRules(0), workers=2))
    assert found.images == 6 and len(taken) > 6


class Deadly(Masks):
    """Plain masks, and a picture that ends whoever reads it."""

    kind = "deadly"

    def labels(self, scene, context):  # type: ignore[no-untyped-def]
        if scene.stem == "003":
            os._exit(9)
        return super().labels(scene, context)


def test_coco_comes_back_equal(tmp_path: Path) -> None:
    source = layouts.coco_folder(tmp_path / "in")
    prepare(source, tmp_path / "out", PrepareOptions(rules=CropRules(0), workers=1))
    export(PreparedDataset(tmp_path / "out"), [CocoSpec()], tmp_path / "exports", lambda _: None)
    theirs = COCO(str(source / "annotations" / "instances_train.json"))
    ours = COCO(str(tmp_path / "exports" / "coco" / "annotations" / "instances_train.json"))
    boxless = [a for a in theirs.loadAnns(theirs.getAnnIds()) if a["segmentation"]]
    words = {"airplane": "plane", "storage-tank": "storage tank"}
    before = sorted(
        (words[theirs.cats[a["category_id"]]["name"]], a["iscrowd"], theirs.annToMask(a).tobytes()) for a in boxless
    )
    after = sorted(
        (ours.cats[a["category_id"]]["name"], a["iscrowd"], ours.annToMask(a).tobytes()) for a in ours.anns.values()
    )
    assert [row for row in after if row in before] == before
    assert len(after) == len(before) + 1, "the bare box came as a rectangle"
    assert coco_mask.area(ours.annToRLE(ours.anns[1])) == ours.anns[1]["area"]


def test_the_mask_sources_read_what_was_prepared(tmp_path: Path) -> None:
    prepare(layouts.samrs(tmp_path / "in"), tmp_path / "out", SMALL)
    layout = find_masks(tmp_path / "out")
    assert {entry.group for entry in layout.entries} == {"SOTA_P1"}
    assert all(entry.instances is not None for entry in layout.entries)


def test_instance_lines_agree_with_the_maps(tmp_path: Path) -> None:
    prepare(layouts.isaid(tmp_path / "in"), tmp_path / "out", SMALL)
    dataset = PreparedDataset(tmp_path / "out")
    seen = 0
    for record in dataset.samples():
        numbers = dataset.instances(record)
        for one in record.instances:
            np.testing.assert_array_equal(numbers == one.id, decode(one.rle, record.height, record.width))
            seen += 1
    assert seen >= 4


def test_nothing_usable_is_an_error_that_names_the_first_problem(tmp_path: Path) -> None:
    source = layouts.loveda(tmp_path / "in")
    layouts.put(source / "Train" / "Train" / "Rural" / "masks_png" / "3.png", layouts.stripes([99]))
    with pytest.raises(SourceError, match=r"not one of 1 images could be used.*ids \[99\] stand for no class"):
        prepare(source, tmp_path / "out", SMALL)
    assert not (tmp_path / "out" / "dataset.json").exists()


def _put(root: Path, number: int) -> None:
    layouts.image(root / f"images/{number:03d}.png", seed=number)
    layouts.put(root / f"masks/{number:03d}.png", np.full((layouts.H, layouts.W), 1 + number % 2, np.uint8))


def _listed(out: Path) -> list[str]:
    return sorted(json.loads((out / "dataset.json").read_bytes())["items"])


def test_what_comes_to_the_source_and_leaves_it_is_listed_whatever_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    layouts.text(source / "classes.json", json.dumps({"0": "background", "1": "road", "2": "building"}))
    for number in range(3):
        _put(source, number)
    options = PrepareOptions(kind="masks", rules=CropRules(0), workers=1)
    prepare(source, out, options)
    _put(source, 3)

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("earthsynth_factory.importers.prepare.finish", die)
        prepare(source, out, options)
    assert len(_listed(out)) == 3
    prepare(source, out, options)
    assert _listed(out) == ["000", "001", "002", "003"]
    for folder in ("images", "masks"):
        (source / folder / "001.png").unlink()
    prepare(source, out, options)
    assert _listed(out) == sorted(path.stem for path in (out / "masks").iterdir()) == ["000", "002", "003"]
    _put(source, 1)
    prepare(source, out, options)
    assert _listed(out) == sorted(path.stem for path in (out / "images").iterdir()) == ["000", "001", "002", "003"]
