"""Counterfactual pairs: one scene with and without an object, equal to the bit elsewhere, and known as a pair everywhere."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from earthsynth_factory.build.edit_sheet import difference_picture
from earthsynth_factory.build.pairs import TWIN, merged
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.cli import app
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.build.run_record import AskedCounts
from earthsynth_factory.datasets.merged import Merged
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.domain.sample import Score, Verdict
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.io.pictures import Picture
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import run_build, write_recipe
from tests.conditions.folders import DATA

RECIPE = f"""
name: pairs
seed: 3
image: {{size: 96, metres_per_pixel: 0.25}}
categories:
  - {{name: small vehicle, count: 6, instances: 1..4}}
counterfactual: {{share: 0.5}}
conditions: [{{kind: compose, path: {DATA}/kit_ais, backgrounds: {DATA}/dubai, pictures: true}}]
synthesis: {{kind: collage}}
rfilter: {{candidates: 2, max_attempts: 6, rules: []}}
splits: {{train: 1.0}}
exports: [coco, hf-parquet, webdataset, yolo-detect, prepared, odvg]
engine: {{shard_size: 4, device: cpu}}
"""


def _recipe(folder: Path, text: str = RECIPE) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result = run_build(_recipe(folder), folder / "out")
    assert result.accepted == result.asked == 9
    return folder / "out"


def _pairs(store: BuildReader) -> list[tuple[SampleRecord, SampleRecord]]:
    found: dict[int, list[SampleRecord]] = {}
    for record in store.samples():
        if record.pair:
            found.setdefault(record.pair.id, []).append(record)
    return [(first, second) for first, second in found.values()]


def test_a_share_of_the_slots_is_paired(tmp_path: Path) -> None:
    plan = Plan.of(load_recipe(_recipe(tmp_path)).recipe)
    assert len(plan) == 9 and int(plan.seconds.sum()) == 3
    assert plan.needs() == [(21, "train", 6)]
    slots = [plan.slot(index) for index in range(len(plan))]
    for first, second in pairwise(slots):
        if second.pair and second.pair.counterfactual:
            assert first.pair and first.pair.id == second.pair.id == first.index
            assert (first.seed, first.split, first.ordinal) == (second.seed, second.split, second.ordinal)
            assert first.category == 21 and second.category is None
    assert sorted(slot.ordinal for slot in slots if not slot.pair or not slot.pair.counterfactual) == list(range(6))


def test_raised_counts_put_their_pairs_behind(tmp_path: Path) -> None:
    """What is there keeps its number, and the share holds over all."""
    path = _recipe(tmp_path)
    small, large = load_recipe(path).recipe, load_recipe(path, ["categories.0.count=10"]).recipe
    first, plan = Plan.of(small), Plan.of(large, (AskedCounts(categories=(6,), negatives=0),))
    assert len(plan) == large.images == 15 and int(plan.seconds.sum()) == large.pairs == 5
    assert [plan.slot(index) for index in range(len(first))] == [first.slot(index) for index in range(len(first))]
    assert len({plan.slot(index).seed for index in range(len(plan))}) == 10


def test_the_images_of_a_pair_differ_by_one_object_alone(built: Path) -> None:
    store = BuildReader(built)
    pairs = _pairs(store)
    assert len(pairs) == 3
    for first, second in pairs:
        assert not first.counterfactual and second.counterfactual
        assert (first.split, first.attempt, first.image_seed) == (second.split, second.attempt, second.image_seed)
        assert first.origin.group == second.origin.group
        assert len(first.instances) == len(second.instances) + 1
        differs = (store.image(first) != store.image(second)).any(axis=2)
        gone = (store.instances(first) > 0) & (store.instances(second) == 0)
        assert differs.any() and gone.any()
        np.testing.assert_array_equal(store.mask(first)[~gone], store.mask(second)[~gone])
        assert not (differs & ~gone).any()


def test_every_export_says_which_images_are_a_pair(built: Path) -> None:
    wanted = {
        record.stem: (record.pair.id, record.pair.counterfactual)
        for record in BuildReader(built).samples()
        if record.pair
    }
    for folder in (built / "exports").glob("[a-z]*"):
        with (folder / "pairs.csv").open() as file:
            rows = {row["image"]: (int(row["pair_id"]), row["counterfactual"] == "1") for row in csv.DictReader(file)}
        assert rows == wanted, folder
    images = orjson.loads((built / "exports/coco/annotations/instances_train.json").read_bytes())["images"]
    assert {
        Path(one["file_name"]).stem: (one["pair_id"], one["counterfactual"]) for one in images if "pair_id" in one
    } == wanted
    rows = parquet.read_table(next((built / "exports/hf-parquet/data").glob("*.parquet"))).to_pylist()
    assert {r["stem"]: (r["pair_id"], r["counterfactual"]) for r in rows if r["pair_id"] is not None} == wanted
    prepared = PreparedDataset(built / "exports/prepared")
    assert {r.stem: (r.pair.id, r.pair.counterfactual) for r in prepared.samples() if r.pair} == wanted


def test_the_card_carries_the_terms_of_all_sources(built: Path) -> None:
    told = (built / "README.md").read_text()
    assert "KIT AIS vehicles, samples: CC BY 3.0" in told and "Dubai, samples: CC0" in told
    assert "3 the second of a counterfactual pair" in told


def test_a_sheet_shows_pictures_before_and_after(built: Path, tmp_path: Path) -> None:
    """Written with the report, and again when asked for; differences are black wherever nothing was put."""
    with Picture(built / "report/edits.png") as picture:
        page = picture.rgb(0, picture.shape[0])
    result = CliRunner().invoke(app, ["preview", str(built), "--edits", "-n", "2", "-o", str(tmp_path / "sheet.png")])
    assert result.exit_code == 0, result.output
    with Picture(tmp_path / "sheet.png") as picture:
        rows, columns = picture.shape
    assert rows < page.shape[0] and columns == page.shape[1]
    one = np.zeros((4, 4, 3), np.uint8)
    assert not difference_picture(one, one).any() and difference_picture(one, one + np.uint8(9)).min() == 18


def test_a_build_from_nothing_has_no_such_sheet(tmp_path: Path) -> None:
    out = run_build(write_recipe(tmp_path), tmp_path / "out", "exports=[]").out
    assert not (out / "report/edits.png").exists()
    result = CliRunner().invoke(app, ["preview", str(out), "--edits"])
    assert result.exit_code == 2 and "nothing in it was made from pictures" in " ".join(result.output.split())


def test_pairs_of_merged_datasets_stay_apart(built: Path) -> None:
    store = BuildReader(built)
    records = [record for record in Merged([store, store]).samples() if record.pair]
    ids = [record.pair.id for record in records if record.pair]
    assert len(ids) == 12 and len(set(ids)) == 6
    assert all(ids.count(one) == 2 for one in ids)


def test_another_class_may_stand_there_instead(tmp_path: Path) -> None:
    text = RECIPE.replace("share: 0.5", "share: 0.5, instead: large vehicle").replace("count: 6", "count: 4")
    result = run_build(_recipe(tmp_path, text), tmp_path / "out", "exports=[]")
    store = BuildReader(result.out)
    pairs = _pairs(store)
    assert pairs
    for first, second in pairs:
        classes = [[instance.category for instance in record.instances] for record in (first, second)]
        assert classes[0].count(21) == classes[1].count(21) + 1 and classes[1].count(12) == classes[0].count(12) + 1
        differs = (store.image(first) != store.image(second)).any(axis=2)
        assert not (differs & (store.mask(first) == store.mask(second)) & (store.instances(first) == 0)).any()
        assert second.category == 12


def test_pairs_do_not_depend_on_shards_or_workers(built: Path, tmp_path: Path) -> None:
    run_build(_recipe(tmp_path), tmp_path / "out", "engine.shard_size=9")
    names = {record.stem for record in BuildReader(built).samples()}
    for one in (built, tmp_path / "out"):
        assert {record.stem for record in BuildReader(one).samples()} == names
    images = [
        {path.name: path.read_bytes() for path in root.glob("shards/*/images/*")} for root in (built, tmp_path / "out")
    ]
    assert images[0] == images[1]
    written = [root / "exports/coco/annotations/instances_train.json" for root in (built, tmp_path / "out")]
    assert written[0].read_bytes() == written[1].read_bytes()


def test_a_pair_is_kept_or_not_as_one() -> None:
    good, bad = Verdict({"a": Score(0.5, True)}, 1.0), Verdict({"a": Score(0.1, False, "too poor")}, 0.25)
    assert merged(good, good).kept and merged(good, good).rank == 2.0
    one, other = merged(good, bad), merged(bad, good)
    assert not one.kept and not other.kept and one.rank == other.rank
    assert [(reason.rule, reason.text) for reason in one.reasons] == [
        (TWIN, "the other image of its pair: a: too poor")
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("synthesis={kind: fake}", "needs real pictures"),
        ("counterfactual={share: 0.5, instead: boat}", "boat"),
        ("counterfactual={share: 0.5, instead: water}", "land cover"),
        ("counterfactual={share: 2}", "at most 1"),
    ],
)
def test_what_cannot_be_paired_is_refused(tmp_path: Path, change: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(_recipe(tmp_path), [change])


def test_an_edit_changes_a_pair_alike_outside_of_the_object(tmp_path: Path) -> None:
    """The network sees the whole window: without care its change would differ everywhere."""
    edit = "{kind: edit, model: embedded, where: all, rim: 5}"
    text = RECIPE.replace("{kind: collage}", edit).replace("count: 6", "count: 2")
    store = BuildReader(run_build(_recipe(tmp_path, text), tmp_path / "out", "exports=[]").out)
    [(first, second)] = _pairs(store)
    differs = (store.image(first) != store.image(second)).any(axis=2)
    rows, columns = np.nonzero(differs)
    gone = np.nonzero((store.instances(first) > 0) & (store.instances(second) == 0))
    assert differs.any()
    for places, object_places in zip((rows, columns), gone, strict=True):
        assert places.min() >= object_places.min() - 5 and places.max() <= object_places.max() + 5
    with Picture(store.image_file(first).path) as picture:
        assert picture.shape == (96, 96)
