"""A build is topped up in its own folder, with more attempts or more images; whatever was filled stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from earthsynth_factory.build import set_aside
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.remake import remake
from earthsynth_factory.build.run import build
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import StoreError
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe
from tests.build.test_kill import killed_until_done

FUSSY = RECIPE.replace("rules: [image_quality]", "rules: [{kind: image_quality, min_sharpness: CONTRAST}]")


def contrast_that_half_pass(folder: Path) -> float:
    run_build(write_recipe(folder), folder / "probe")
    scores = sorted(record.scores["image_quality"] for record in BuildReader(folder / "probe").samples())
    return scores[len(scores) * 3 // 4]


def masters(out: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of the accepted images: what is in it, and the file's own number, which another file has not."""
    found = sorted(out.glob("shards/*/*/*.png"))
    return {path.relative_to(out).as_posix(): (path.read_bytes(), path.stat().st_ino) for path in found}


def lines(out: Path) -> list[bytes]:
    return [line for path in sorted(out.glob("shards/*/samples.jsonl")) for line in path.read_bytes().splitlines()]


def test_raised_attempts_go_on_in_place_and_come_to_what_an_uninterrupted_build_makes(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}"))
    first = run_build(path, tmp_path / "out", "rfilter.max_attempts=2")
    assert 0 < first.accepted < first.asked and first.short
    kept = masters(tmp_path / "out")
    more = run_build(path, tmp_path / "out", "rfilter.max_attempts=12")
    assert more.accepted > first.accepted
    assert kept.items() <= masters(tmp_path / "out").items()  # not even made again
    straight = run_build(path, tmp_path / "straight", "rfilter.max_attempts=12")
    assert (more.accepted, more.reasons, more.short) == (straight.accepted, straight.reasons, straight.short)
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "straight")
    before = tree_hash(tmp_path / "out")
    run_build(path, tmp_path / "out", "rfilter.max_attempts=12")
    assert tree_hash(tmp_path / "out") == before


def test_a_kill_while_it_is_reopened_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recipe(tmp_path, FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}"))
    run_build(path, tmp_path / "out", "rfilter.max_attempts=2")
    cut = set_aside.cut_journal

    def dies(*words: object) -> None:
        cut(*words)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(set_aside, "cut_journal", dies)
    with pytest.raises(KeyboardInterrupt):
        run_build(path, tmp_path / "out", "rfilter.max_attempts=8")
    monkeypatch.setattr(set_aside, "cut_journal", cut)
    run_build(path, tmp_path / "out", "rfilter.max_attempts=8")
    run_build(path, tmp_path / "straight", "rfilter.max_attempts=8")
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "straight")


def test_fewer_attempts_than_a_folder_was_made_with_are_refused(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    run_build(path, tmp_path / "out")
    shards = tree_hash(tmp_path / "out/shards")
    with pytest.raises(StoreError, match=r"built with max_attempts 6, now 4; it may be raised and not lowered"):
        run_build(path, tmp_path / "out", "rfilter.max_attempts=4")
    run_build(path, tmp_path / "out", "rfilter.max_attempts=9")  # nothing was short: nothing is made
    assert tree_hash(tmp_path / "out/shards") == shards


def test_a_slot_goes_on_at_its_next_attempt(tmp_path: Path) -> None:
    """What it was refused before is neither made nor counted again."""
    path = write_recipe(tmp_path, FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}"))
    run_build(path, tmp_path / "out", "rfilter.max_attempts=2")
    before = len(list(BuildReader(tmp_path / "out").rejects()))
    told: list[object] = []
    build(load_recipe(path, ["rfilter.max_attempts=4"]), tmp_path / "out", watch=told.append)
    store = BuildReader(tmp_path / "out")
    made = sum(getattr(one, "images", 0) for one in told)
    short_then = store.count - told[0].settled  # type: ignore[attr-defined]
    assert 0 < made == 2 * short_then
    assert len(list(store.rejects())) + sum(1 for _ in store.samples()) == before + store.count - short_then + made


def test_attempts_are_raised_in_a_build_that_is_not_done(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}"))
    run_build(path, tmp_path / "out", "rfilter.max_attempts=2")
    for number in (0, 2):
        BuildLayout(tmp_path / "out").shard(number).marker.unlink()
    run_build(path, tmp_path / "out", "rfilter.max_attempts=8")
    run_build(path, tmp_path / "straight", "rfilter.max_attempts=8")
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "straight")


MORE = ("categories.plane.count=13", "categories.water.count=9", "negatives=7")


def test_raised_counts_add_images_behind_those_that_are_there(tmp_path: Path) -> None:
    path, out = write_recipe(tmp_path), tmp_path / "out"
    run_build(path, out)
    kept, said = masters(out), lines(out)
    more = run_build(path, out, *MORE)
    assert (more.accepted, more.asked, more.short) == (43, 43, {})
    assert kept.items() <= masters(out).items() and lines(out)[: len(said)] == said
    assert Plan.recorded(BuildReader(out)).needs() == [
        (25, "train", 11), (25, "val", 3), (16, "train", 10), (16, "val", 3), (6, "train", 7), (6, "val", 2),
        (None, "train", 6), (None, "val", 1),
    ]  # fmt: skip
    before = tree_hash(out)
    run_build(path, out, *MORE)
    assert tree_hash(out) == before
    again = remake(out, 40, None, tmp_path, "cpu", tmp_path / "again")
    assert again.image.read_bytes() == BuildReader(out).layout.shard(5).image("0000040").read_bytes()


def test_counts_and_attempts_are_raised_twice_through_kills(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}"))
    steps = [
        ("rfilter.max_attempts=2",),
        ("rfilter.max_attempts=2", *MORE),
        ("rfilter.max_attempts=8", *MORE[1:], "categories.plane.count=20"),
    ]
    died = 0
    for step in steps:
        started = time.monotonic()
        run_build(path, tmp_path / "whole", *step)
        died += killed_until_done(path, tmp_path / "killed", 4, time.monotonic() - started, *step)
    assert died > 0, "the kills came too late to mean anything"
    assert tree_hash(tmp_path / "killed") == tree_hash(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("earlier-*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("categories.plane.count=7", "recipe.categories.1.count: stored 8, now 7"),
        ("categories.plane.count=0", "recipe.categories.1.count: stored 8, now 0"),
        ("negatives=1", "recipe.negatives: stored 4, now 1"),
        ("rfilter.candidates=3", "recipe.rfilter.candidates: stored 2, now 3"),
    ],
)
def test_what_is_there_cannot_be_asked_for_less_or_otherwise(tmp_path: Path, change: str, said: str) -> None:
    path = write_recipe(tmp_path)
    run_build(path, tmp_path / "out")
    before = tree_hash(tmp_path / "out")
    with pytest.raises(StoreError) as refused:
        run_build(path, tmp_path / "out", change)
    assert said in str(refused.value) and "may be raised in place" in str(refused.value)
    assert tree_hash(tmp_path / "out") == before
