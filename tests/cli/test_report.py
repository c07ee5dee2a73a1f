"""`report` and `remake` as a user meets them, on builds, prepared data and a filter's output."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from earthsynth_factory.build import run as build_run
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.run import build
from earthsynth_factory.cli import app
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.prepared import PreparedSpec
from earthsynth_factory.exports.write import write_format
from earthsynth_factory.filtering.run import FilterOptions, run_filter
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import write_recipe
from tests.making import make_condition, make_image
from tests.report.subjects import Page

RECIPE = """
name: "small </script> & <b>"
seed: 5
image: {size: 64, metres_per_pixel: 0.6..1.2}
categories:
  - {name: storage tank, count: 9}
  - {name: water, count: 6}
negatives: 2
conditions: [{kind: procedural}]
synthesis: {kind: fake}
rfilter: {candidates: 2, max_attempts: 4, rules: [{kind: image_quality, min_sharpness: 3.0}, object_size]}
exports: []
engine: {shard_size: 7, device: cpu}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with rejects, their images kept, and with shortfalls."""
    folder = tmp_path_factory.mktemp("built")
    build(load_recipe(write_recipe(folder, RECIPE)), folder / "out", keep_rejects=True)
    return folder / "out"


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def page_of(folder: Path) -> Page:
    page = Page.of((folder / "report/index.html").read_bytes())
    assert page.problems == []
    return page


def test_a_build_writes_the_report_that_the_command_writes(copy: Path) -> None:
    first = (copy / "report/index.html").read_bytes()
    (copy / "report/index.html").unlink()
    assert run("report", copy).strip() == str(copy / "report/index.html")
    assert (copy / "report/index.html").read_bytes() == first
    assert run("report", copy, "--out", copy / "other.html").strip() == str(copy / "other.html")
    assert (copy / "other.html").read_bytes() == first


def test_it_tells_what_the_journals_tell(built: Path) -> None:
    page, store = page_of(built), BuildReader(built)
    samples, rejects = list(store.samples()), list(store.rejects())
    refused = [reject for reject in rejects if reject.reasons[0].rule == "image_quality"]
    missing = 17 - len(samples)
    assert missing == 1 and refused, "the recipe is to end short"
    assert f"{len(samples)} of 17 images kept {len(samples) + len(rejects)} images made" in page.text
    assert f"{missing} image missing , given up after the recipe's attempts" in page.text
    assert f"Not kept {len(refused)} of {len(refused)}" in page.text
    assert "A dry run" in page.text and "small </script> & <b>" in page.text
    seeds = {str(record.image_seed) for record in [*samples, *refused]}
    assert {dict(known["facts"])["image seed"] for known in page.data.values()} >= seeds


def test_a_reject_has_the_mask_of_its_slot_only_where_it_is_the_same(built: Path) -> None:
    store = BuildReader(built)
    expected = 0
    for _, rejects, sample in store.slots():
        expected += sample is not None
        expected += sum(
            sample is not None and reject.condition_seed == sample.condition_seed
            for reject in rejects
            if reject.reasons[0].rule == "image_quality"
        )
    kept_in_clusters = len(page_of(built).all("button", **{"class": "card"}))
    layers = len(page_of(built).all("img", **{"class": "layer"}))
    refused = sum(reject.reasons[0].rule == "image_quality" for reject in store.rejects())
    shown_twice = kept_in_clusters - len(list(store.samples())) - refused
    assert layers == expected + shown_twice


def test_rejected_images_that_were_not_kept_are_said(copy: Path) -> None:
    for folder in copy.glob("shards/*/rejects"):
        shutil.rmtree(folder)
    run("report", copy)
    assert page_of(copy).text.count("image not kept") == sum(
        reject.reasons[0].rule == "image_quality" for reject in BuildReader(copy).rejects()
    )


def test_an_unfinished_build_says_so(copy: Path) -> None:
    (copy / "shards/00001.json").unlink()
    journal = copy / "shards/00001/samples.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    run("report", copy)
    text = page_of(copy).text
    assert "Unfinished: 2 of 3 shards are committed." in text and "not made yet or given up" in text


def test_a_picture_that_is_gone_is_counted(copy: Path) -> None:
    record = next(BuildReader(copy).samples())
    BuildReader(copy).image_file(record).path.write_bytes(b"\x89PNG half")
    run("report", copy)
    assert f"1 image cannot be read: {record.stem}" in page_of(copy).text


def test_a_report_that_fails_costs_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(build_run, "report_on_build", fail)
    result = build(load_recipe(write_recipe(tmp_path, RECIPE)), tmp_path / "out")
    assert (tmp_path / "out/README.md").is_file() and not (tmp_path / "out/report").exists()
    [note] = [note for note in result.notes if "no report" in note]
    assert "no report (a defect)" in note and f"earthsynth-factory report {tmp_path / 'out'}" in note


def test_the_recorded_plan_is_the_plan(built: Path, copy: Path) -> None:
    plan, recorded = Plan.of(load_recipe(built / "recipe.yaml").recipe), Plan.recorded(BuildReader(built))
    assert recorded.needs() == plan.needs()
    assert [recorded.slot(index) for index in range(len(plan))] == [plan.slot(index) for index in range(len(plan))]
    known = orjson.loads((copy / "run.json").read_bytes())
    for change in ({"categories": [{"name": "water", "count": 10**15}]}, {"splits": None}, {"seed": "x"}):
        (copy / "run.json").write_bytes(orjson.dumps({**known, "recipe": {**known["recipe"], **change}}))
        assert "run.json: damaged" in run("report", copy, code=2)


def test_a_plug_in_named_in_a_record_is_not_imported(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_rule.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    known = orjson.loads((copy / "run.json").read_bytes())
    known["recipe"]["rfilter"]["rules"].append({"kind": "evil_rule:Rule"})
    (copy / "run.json").write_bytes(orjson.dumps(known))
    run("report", copy)
    assert not (tmp_path / "ran").exists()
    assert "evil_rule:Rule" in page_of(copy).text


def test_prepared_data_leaves_out_what_it_has_not(built: Path, tmp_path: Path) -> None:
    write_format(BuildReader(built), PreparedSpec(), tmp_path / "prepared", lambda _: None)
    run("report", tmp_path / "prepared")
    page = page_of(tmp_path / "prepared")
    tabs = [found["aria-controls"] for found in page.all("a", role="tab")]
    assert tabs == ["overview", "pictures", "objects", "duplicates", "making"]
    assert "No scores: nothing was filtered here." in page.text and "No seeds" in page.text
    assert all(not known["scores"] and not known["command"] for known in page.data.values())


def test_a_filter_has_a_report(copy: Path, tmp_path: Path) -> None:
    config = tmp_path / "filter.yaml"
    config.write_text("rules: [{kind: image_quality, min_sharpness: 3.4}, object_size]\nselect: []\n")
    record = next(BuildReader(copy).samples())
    BuildReader(copy).image_file(record).path.write_bytes(b"\x89PNG half")
    summary = run_filter(copy, tmp_path / "filtered", FilterOptions(config=config, device="cpu"))
    run("report", tmp_path / "filtered")
    page = page_of(tmp_path / "filtered")
    assert 0 < summary.kept < summary.images
    assert f"{summary.kept} of {summary.images} images kept" in page.text and "least 3.4" in page.text
    assert [known for known in page.data.values() if any(why.startswith("unusable: ") for why in known["reasons"])]
    (copy / "shards/00000/samples.jsonl").write_bytes(b"")
    assert "has other images now; run the same filter command again" in run("report", tmp_path / "filtered", code=2)
    (tmp_path / "filtered/filter.json").write_text('{"kind": "coco"}')
    assert "filter.json: damaged (source: Field required); run the same filter command again" in run(
        "report", tmp_path / "filtered", code=2
    )


def test_a_filter_of_a_folder_of_others_has_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, source = tmp_path / "filter.yaml", tmp_path / "masks"
    config.write_text("rules: [image_quality]\nselect: []\n")
    (source / "images").mkdir(parents=True)
    (source / "masks").mkdir()
    for number, pixels in enumerate((make_image(0), np.full((48, 48, 3), 90, np.uint8), make_image(2))):
        cv2.imwrite(str(source / f"images/{number}.png"), pixels)
        cv2.imwrite(str(source / f"masks/{number}.png"), make_condition().mask)
    (source / "masks/2.png").write_bytes(b"half")
    (tmp_path / "map.yaml").write_text("25: storage tank\n17: ship\n6: water\n")
    monkeypatch.chdir(tmp_path)
    run_filter(Path("masks"), Path("out"), FilterOptions(config, map=Path("map.yaml"), kind="masks", device="cpu"))
    monkeypatch.chdir(source)
    run("report", tmp_path / "out")
    page = page_of(tmp_path / "out")
    assert "1 of 3 images kept" in page.text and "Sizes of objects are measured in builds and prepared" in page.text
    assert "objects" not in [found["aria-controls"] for found in page.all("a", role="tab")]
    assert len(page.all("img", **{"class": "layer"})) == 2 and "storage tank" in page.text
    assert sorted(why for known in page.data.values() for why in known["reasons"])[1].startswith("unusable: ")


def test_a_build_with_learnt_thresholds_shows_them(copy: Path) -> None:
    known = orjson.loads((copy / "run.json").read_bytes())
    known["identity"]["thresholds"] = {"image_quality": {"all": 2.5, "6": 2.25}}
    (copy / "run.json").write_bytes(orjson.dumps(known))
    run("report", copy)
    page = page_of(copy)
    titles = [text for text in page.texts if text.startswith("Histogram of") and "image_quality" in text]
    assert sorted({title.rpartition(" ")[2] for title in titles}) == ["2.25", "2.5"]
    assert "all 2.5, water 2.25" in page.text
    known["identity"]["thresholds"] = {"image_quality": {"six": 1}}
    (copy / "run.json").write_bytes(orjson.dumps(known))
    assert "run.json: damaged identity.thresholds" in run("report", copy, code=2)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    assert "neither the output of a build" in run("report", tmp_path, code=2)
    assert "nowhere: no such folder" in run("report", tmp_path / "nowhere", code=2)


def test_remake_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    store = BuildReader(built)
    sample = next(record for record in store.samples() if record.attempt)
    run("remake", built, sample.stem, "--out", tmp_path)
    stem = f"{sample.stem}_{sample.attempt:03d}"
    shard = store.shard_of(sample)
    for made, kept in (("", shard.image), ("_mask", shard.mask), ("_instances", shard.instances)):
        assert (tmp_path / f"{stem}{made}.png").read_bytes() == kept(sample.stem).read_bytes()
    reject = next(one for one in store.rejects() if store.rejected_path(one).is_file())
    run("remake", built, reject.slot, "--attempt", reject.attempt, "--out", tmp_path)
    again = tmp_path / f"{reject.slot:07d}_{reject.attempt:03d}.png"
    assert again.read_bytes() == store.rejected_path(reject).read_bytes()


def test_remake_takes_the_thresholds_that_ship_from_rules_without_their_own(tmp_path: Path) -> None:
    rules = "rules: [{kind: image_quality, min_sharpness: 3.0}, object_size]"
    assert rules in RECIPE
    text = RECIPE.replace(rules, f"{rules}, thresholds: embedded")
    build(load_recipe(write_recipe(tmp_path, text)), tmp_path / "out")
    store = BuildReader(tmp_path / "out")
    assert list(store.run.learnt) == ["object_size"], "the other rule says its own"
    sample = next(iter(store.samples()))
    run("remake", store.root, sample.stem, "--out", tmp_path, "--base", tmp_path)
    made = tmp_path / f"{sample.stem}_{sample.attempt:03d}.png"
    assert made.read_bytes() == store.shard_of(sample).image(sample.stem).read_bytes()


def test_remake_refuses_what_it_cannot_make(copy: Path, tmp_path: Path) -> None:
    short = next(reject for reject in BuildReader(copy).rejects() if reject.short)
    assert "has no kept image; name one of its attempts" in run("remake", copy, short.slot, "--out", tmp_path, code=2)
    assert "slot 17: there are 17, 0–16" in run("remake", copy, 17, "--attempt", 0, "--out", tmp_path, code=2)
    assert "--attempt 4: the recipe has the attempts 0–3" in run("remake", copy, 0, "--attempt", 4, code=2)
    known = orjson.loads((copy / "run.json").read_bytes())
    (copy / "run.json").write_bytes(orjson.dumps({**known, "fingerprint": "0" * 64}))
    assert "are others now than when it was made" in run("remake", copy, 0, "--out", tmp_path, code=2)
