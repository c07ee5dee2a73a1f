"""SIGKILL at random moments, run again, and the dataset is the one of an uninterrupted run, byte by byte."""

from __future__ import annotations

import multiprocessing as mp
import random
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from earthsynth_factory.datasets.build.layout import BuildLayout
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe
from tests.conditions.folders import DATA

KILLS = 20

PIPELINE = RECIPE.replace("{kind: fake}", "{kind: controlnet, model: PIPELINE, steps: 2, guidance: 1.0, batch: 4}")

EDITS = f"""
name: edits
seed: 5
image: {{size: 64, metres_per_pixel: 0.25}}
categories: [{{name: small vehicle, count: 12, instances: 1..3}}]
counterfactual: 0.5
conditions: [{{kind: compose, path: {DATA}/kit_ais, backgrounds: {DATA}/dubai, pictures: true}}]
synthesis: {{kind: edit, model: PIPELINE, steps: 2, guidance: 1.0, batch: 4}}
rfilter: {{candidates: 2, max_attempts: 6, rules: [changed]}}
splits: {{train: 1.0}}
exports: [coco]
engine: {{shard_size: 4, device: cpu}}
"""
FEW_KILLS = 8


def killed_until_done(
    recipe: Path, out: Path, kills: int, seconds: float, *changes: str, networks: bool = False
) -> int:
    """Run the build in processes that are killed after random times, then once to its end; how many died at work.

    networks: whether it needs torch and diffusers, whose import must not take most of that time.
    """
    context = mp.get_context("forkserver")
    modules = ["tests.build.building", "earthsynth_factory.conditions.procedural"]
    if networks:
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # another test's knows nothing of them
        modules += ["torch", "diffusers"]
    context.set_forkserver_preload(modules)
    chance, died = random.Random(11), 0
    for _ in range(kills):
        process = context.Process(target=run_build, args=(recipe, out, *changes))
        process.start()
        process.join(chance.uniform(0.02, 1.0) * seconds)
        died += process.is_alive()
        process.kill()
        process.join()
    process = context.Process(target=run_build, args=(recipe, out, *changes))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    return died


def _seconds(recipe: Path, out: Path) -> float:
    started = time.monotonic()
    run_build(recipe, out)
    return time.monotonic() - started


def test_fake_build_survives_kills(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    seconds = _seconds(recipe, tmp_path / "whole")
    died = killed_until_done(recipe, tmp_path / "killed", KILLS, seconds / 4)
    assert died >= KILLS / 2, "the kills came too late to mean anything"
    assert tree_hash(tmp_path / "killed") == tree_hash(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pipeline_build_survives_kills(tmp_path: Path, tiny_pipeline: Path) -> None:
    recipe = write_recipe(tmp_path, PIPELINE.replace("PIPELINE", str(tiny_pipeline)))
    seconds = _seconds(recipe, tmp_path / "whole")
    died = killed_until_done(recipe, tmp_path / "killed", KILLS, seconds / 4, networks=True)
    assert died >= KILLS / 2, "the kills came too late to mean anything"
    assert tree_hash(tmp_path / "killed") == tree_hash(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_edits_in_pairs_survive_kills(tmp_path: Path, tiny_pipeline: Path) -> None:
    """Pairs stand in shards of three, so that kills and shards tear them apart."""
    recipe = write_recipe(tmp_path, EDITS.replace("PIPELINE", str(tiny_pipeline)))
    seconds = _seconds(recipe, tmp_path / "whole")
    died = killed_until_done(recipe, tmp_path / "killed", FEW_KILLS, seconds / 3, networks=True)
    assert died >= FEW_KILLS / 2, "the kills came too late to mean anything"
    assert tree_hash(tmp_path / "killed") == tree_hash(tmp_path / "whole")


@pytest.mark.parametrize("torn", [b'{"slot": 3, "cat', b"{"])
def test_torn_last_line_is_redone(tmp_path: Path, torn: bytes) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "whole")
    run_build(recipe, tmp_path / "torn")
    shard = BuildLayout(tmp_path / "torn").shard(1)
    lines = shard.samples.read_bytes().splitlines(keepends=True)
    shard.samples.write_bytes(b"".join(lines[:3]) + torn)
    shard.marker.unlink()
    run_build(recipe, tmp_path / "torn")
    assert tree_hash(tmp_path / "torn") == tree_hash(tmp_path / "whole")
