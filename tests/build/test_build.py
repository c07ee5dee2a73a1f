"""Whole builds: what decides a dataset, what does not, and what happens when something is wrong."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from earthsynth_factory.build import run as build_run
from earthsynth_factory.conditions.base import Want
from earthsynth_factory.conditions.procedural.spec import Procedural
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.errors import DiskError, Interrupted, NoCondition, RecipeError, Shortfall, StoreError
from earthsynth_factory.io import atomic
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe


def test_counts_are_kept_promises(tmp_path: Path) -> None:
    result = run_build(write_recipe(tmp_path), tmp_path / "out")
    store = BuildReader(tmp_path / "out")
    assert (result.accepted, result.asked, result.short) == (32, 32, {})
    made = [record.category for record in store.samples()]
    assert {category: made.count(category) for category in set(made)} == {25: 14, 16: 8, 6: 6, None: 4}
    for record in store.samples():
        assert record.category is None or record.category in record.classes
        assert record.category is not None or not {25, 16, 6} & set(record.classes)


def test_samples_agree_with_their_files(tmp_path: Path) -> None:
    run_build(write_recipe(tmp_path), tmp_path / "out")
    store = BuildReader(tmp_path / "out")
    for record in store.samples():
        mask, numbered = store.mask(record), store.instances(record)
        assert store.image(record).shape == (64, 64, 3)
        for instance in record.instances:
            inside = numbered == instance.id
            assert inside.sum() == instance.area
            assert set(mask[inside].tolist()) == {instance.category}


@pytest.mark.parametrize(
    "changes",
    [["engine.workers=2"], ["synthesis.batch=1"], ["engine.writers=7"], ["exports=[semantic]"]],
    ids=lambda changes: changes[0],
)
def test_how_the_work_is_done_changes_no_byte(tmp_path: Path, changes: list[str]) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "plain")
    run_build(recipe, tmp_path / "other", *changes)
    others = ("exports/", "run.json", "README.md")
    assert tree_hash(tmp_path / "other", others) == tree_hash(tmp_path / "plain", others)


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "out")
    before = tree_hash(tmp_path / "out")
    sessions = (tmp_path / "out/sessions.jsonl").read_bytes()
    run_build(recipe, tmp_path / "out")
    assert tree_hash(tmp_path / "out") == before
    assert (tmp_path / "out/sessions.jsonl").read_bytes() == sessions


def test_another_recipe_is_refused_and_nothing_touched(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "out")
    before = tree_hash(tmp_path / "out")
    with pytest.raises(StoreError) as caught:
        run_build(recipe, tmp_path / "out", "seed=6")
    assert "holds another build" in str(caught.value)
    assert "seed" in str(caught.value)
    assert "--out" in str(caught.value)
    assert tree_hash(tmp_path / "out") == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=r"out: not empty and no build of ours; choose another folder with --out"):
        run_build(write_recipe(tmp_path), tmp_path / "out")
    assert (tmp_path / "out/thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("write", range(4))
def test_a_build_killed_before_its_first_image_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    real, left = atomic._made, [write]

    def die(path: Path) -> Any:
        if not left[0]:
            path.write_bytes(b"{")  # Half written, as SIGKILL leaves it.
            os._exit(9)
        left[0] -= 1
        return real(path)

    recipe = write_recipe(tmp_path)
    if not (child := os.fork()):
        atomic._made = die  # type: ignore[assignment]
        run_build(recipe, tmp_path / "out")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    run_build(recipe, tmp_path / "whole")
    run_build(recipe, tmp_path / "out")
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "whole")


def test_two_builds_cannot_write_one_folder(tmp_path: Path) -> None:
    from earthsynth_factory.io.lock import locked

    with locked(tmp_path / "out", "build"), pytest.raises(StoreError, match="another build is writing here"):
        run_build(write_recipe(tmp_path), tmp_path / "out")


def test_shard_size_may_change_between_sessions(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "out")
    before = tree_hash(tmp_path / "out", ("run.json",))
    run_build(recipe, tmp_path / "out", "engine.shard_size=3")
    assert BuildReader(tmp_path / "out").run.shard_size == 7
    assert tree_hash(tmp_path / "out", ("run.json",)) == before


def test_shortfall_names_the_class_and_the_reason(tmp_path: Path) -> None:
    strict = RECIPE.replace("rules: [image_quality]", "rules: [{kind: image_quality, min_contrast: 200}]")
    result = run_build(write_recipe(tmp_path, strict), tmp_path / "out")
    assert result.accepted == 0
    assert result.short[("storage tank", "train")] == 11
    with pytest.raises(Shortfall, match=r"storage tank \(train\): 11 short") as caught:
        build_run.raise_shortfall(result)
    assert caught.value.exit_code == 3
    rejects = list(BuildReader(tmp_path / "out").rejects())
    assert len(rejects) == 32 * 6
    assert all("flat" in record.reasons[0].text for record in rejects)
    assert "Fewer images than the recipe asks for" in (tmp_path / "out/README.md").read_text()


def test_rejected_images_are_kept_on_request(tmp_path: Path) -> None:
    strict = RECIPE.replace("rules: [image_quality]", "rules: [{kind: image_quality, min_contrast: 40}]")
    loaded = load_recipe(write_recipe(tmp_path, strict))
    build_run.build(loaded, tmp_path / "out", keep_rejects=True)
    failed = [r for r in BuildReader(tmp_path / "out").rejects() if r.outcome is not Outcome.SPARE]
    kept = list((tmp_path / "out").rglob("rejects/*.png"))
    assert failed
    assert len(kept) == len(failed)


def test_no_source_for_a_category_is_said_before_any_image(tmp_path: Path) -> None:
    own = RECIPE.replace(
        "- {name: plane, count: 8}", "- {name: plane, count: 8}\n  - {name: zebra, thing: true, count: 2}"
    )
    with pytest.raises(RecipeError, match=r"categories\.2\.name: 'zebra' → no source has masks for it in the split"):
        run_build(write_recipe(tmp_path, own), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_everything_and_goes_on(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "whole")
    seen: list[Any] = []

    def interrupt(told: Any) -> None:
        seen.append(told)
        if len(seen) == 10:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="run the same command again") as caught:
        build_run.build(load_recipe(recipe), tmp_path / "out", watch=interrupt)
    assert caught.value.exit_code == 3
    assert 9 <= len(list(BuildReader(tmp_path / "out").samples())) < 32
    assert threading.active_count() < 8
    run_build(recipe, tmp_path / "out")
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "whole")


def test_ctrl_c_is_heard_between_conditions_drawn_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, drawn = write_recipe(tmp_path, RECIPE.replace("max_attempts: 6", "max_attempts: 400")), []

    def in_vain(source: Procedural, want: Want) -> Condition:
        drawn.append(want)
        if len(drawn) == 40:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1 * (len(drawn) >= 40))
        raise NoCondition("nowhere")

    with monkeypatch.context() as patch:
        patch.setattr(Procedural, "draw", in_vain)
        with pytest.raises(Interrupted):
            run_build(recipe, tmp_path / "out")
    assert len(drawn) < 200  # of 76,800
    run_build(recipe, tmp_path / "out")
    run_build(recipe, tmp_path / "whole")
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "whole")


def test_a_full_disk_is_named_and_resumable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = write_recipe(tmp_path)
    real, calls, most = os.fsync, [0], math.inf

    def full(handle: int) -> None:
        calls[0] += 1
        if calls[0] > most:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        run_build(recipe, tmp_path / "whole")
        most, calls[0] = calls[0] // 3, 0  # how often it is waited for depends on the time that a build takes
        with pytest.raises(DiskError, match="the disk is full; free some space, then run the same command again"):
            run_build(recipe, tmp_path / "out")
    run_build(recipe, tmp_path / "out")
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "whole")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs to see which file is written")
@pytest.mark.parametrize("file", ["shards/00000/samples.jsonl", "shards/00000/rejects.jsonl", "sessions.jsonl"])
def test_a_journal_on_a_full_disk_is_named_and_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "whole")
    run_build(recipe, tmp_path / "out")
    (tmp_path / "out/shards/00000.json").unlink()
    for journal in (tmp_path / "out/shards/00000").glob("*.jsonl"):
        journal.write_bytes(b"")
    real = os.fsync

    def full(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink() == tmp_path / "out" / file:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match="the disk is full; free some space, then run the same command again"):
            run_build(recipe, tmp_path / "out")
    run_build(recipe, tmp_path / "out")
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "whole")


def test_an_edited_journal_is_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "out")
    shard = BuildReader(tmp_path / "out").layout.shard(0)
    lines = shard.samples.read_bytes().splitlines(keepends=True)
    shard.samples.write_bytes(b"".join(lines[:2] + lines[3:]))
    shard.marker.unlink()
    with pytest.raises(StoreError, match="slot 2 is missing though later ones are recorded"):
        run_build(recipe, tmp_path / "out")


def test_the_record_says_what_was_used(tmp_path: Path) -> None:
    run_build(write_recipe(tmp_path), tmp_path / "out")
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["recipe"]["seed"] == 5
    assert record["line"]["synthesis"]["kind"] == "fake"
    assert {"earthsynth-factory", "python", "torch", "diffusers"} <= set(record["software"])
    assert len(record["fingerprint"]) == 64
    card = (tmp_path / "out/README.md").read_text()
    assert "A dry run" in card.splitlines()[2]


def test_a_category_may_have_a_scale_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_build(write_recipe(tmp_path), out, "categories.plane.metres_per_pixel=0.25..0.3", "engine.shard_size=100")
    lines = [json.loads(line) for line in next(out.glob("shards/*/samples.jsonl")).read_text().splitlines()]
    planes = [
        line["metres_per_pixel"] for line in lines if "plane" in json.dumps(line) and line["metres_per_pixel"] < 0.6
    ]
    others = [line["metres_per_pixel"] for line in lines if line["metres_per_pixel"] >= 0.6]
    assert len(planes) == 8 and all(0.25 <= scale <= 0.3 for scale in planes)
    assert len(others) == len(lines) - 8 and max(others) <= 1.2


def test_a_shard_is_not_committed_over_lines_that_found_no_room(tmp_path: Path) -> None:
    from earthsynth_factory.build.shard_journal import ShardJournal, SlotResult
    from earthsynth_factory.datasets.build.layout import BuildLayout

    run_build(write_recipe(tmp_path), tmp_path / "out")
    store = BuildReader(tmp_path / "out")
    records = [record for record in store.samples() if record.slot < 7]
    journal = ShardJournal(BuildLayout(tmp_path / "new").shard(0), range(7), store.taxonomy, DigitalSource.DRAWN)
    journal.open()
    assert journal._samples  # put /dev/full in its place
    journal._samples.close()
    journal._samples = Path("/dev/full").open("wb")  # noqa: SIM115  # the journal closes it
    slots = [type("Slot", (), {"index": record.slot})() for record in records]
    outcomes = [SlotResult(slot, record, ()) for slot, record in zip(slots, records, strict=True)]  # type: ignore[arg-type]
    with pytest.raises(DiskError):
        journal.settle(outcomes)
    assert journal.next_slot == 0


@pytest.mark.parametrize(("many", "said"), [(0, 1), (build_run.MANY, 0)])
def test_a_long_end_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int, said: int) -> None:
    monkeypatch.setattr(build_run, "MANY", many)
    told: list[str] = []
    build_run.build(load_recipe(write_recipe(tmp_path)), tmp_path / "out", tell=told.append)
    assert sum("which takes minutes" in line for line in told) == said
