"""A build that ended short is topped up in its own folder, whatever was filled stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.build import topup
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import StoreError
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe

FUSSY = RECIPE.replace("rules: [image_quality]", "rules: [{kind: image_quality, min_sharpness: CONTRAST}]")


def contrast_that_half_pass(folder: Path) -> float:
    run_build(write_recipe(folder), folder / "probe")
    scores = sorted(record.scores["image_quality"] for record in BuildReader(folder / "probe").samples())
    return scores[len(scores) * 3 // 4]


def test_raised_attempts_go_on_in_place_and_come_to_what_an_uninterrupted_build_makes(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}"))
    first = run_build(path, tmp_path / "out", "rfilter.max_attempts=2")
    assert 0 < first.accepted < first.asked and first.short
    kept = {r.slot: (r.attempt, r.image_seed) for r in BuildReader(tmp_path / "out").samples()}
    more = run_build(path, tmp_path / "out", "rfilter.max_attempts=12")
    assert more.accepted > first.accepted
    after = {r.slot: (r.attempt, r.image_seed) for r in BuildReader(tmp_path / "out").samples()}
    assert kept.items() <= after.items()
    straight = run_build(path, tmp_path / "straight", "rfilter.max_attempts=12")
    assert (more.accepted, more.reasons, more.short) == (straight.accepted, straight.reasons, straight.short)
    assert tree_hash(tmp_path / "out") == tree_hash(tmp_path / "straight")
    before = tree_hash(tmp_path / "out")
    run_build(path, tmp_path / "out", "rfilter.max_attempts=12")
    assert tree_hash(tmp_path / "out") == before


def test_a_kill_while_it_is_reopened_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recipe(tmp_path, FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}"))
    run_build(path, tmp_path / "out", "rfilter.max_attempts=2")
    cut = topup.cut

    def dies(*words: object) -> None:
        cut(*words)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(topup, "cut", dies)
    with pytest.raises(KeyboardInterrupt):
        run_build(path, tmp_path / "out", "rfilter.max_attempts=8")
    monkeypatch.setattr(topup, "cut", cut)
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
