"""A small part of the attacks, the same every time; `make attack` runs all of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.attack import disks, fuzz, hostile, kills, network, odd, pairs, parsers
from tests.attack.inputs import Inputs
from tests.attack.outcome import Outcome, table
from tests.attack.running import preload

SEED = 7
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    preload()
    return Inputs.make(tmp_path_factory.mktemp("attacked"))


def held(*outcomes: Outcome) -> None:
    """Everything was tried, and nothing gave way."""
    assert all(outcome.tried for outcome in outcomes)
    assert not any(outcome.failures for outcome in outcomes), table(outcomes)


def test_damaged_records_and_bytes(inputs: Inputs, tmp_path: Path) -> None:
    held(fuzz.attack_records(inputs, 1500, SEED), *parsers.attack(tmp_path / "parsers", inputs, 40, SEED))


@pytest.mark.parametrize("name", ["a build, looked at", "a prepared dataset", "reader coco", "a filter's folder"])
def test_damaged_folders(inputs: Inputs, tmp_path: Path, name: str) -> None:
    [target] = [one for one in fuzz.targets(inputs, tmp_path / "layouts") if one.name == name]
    held(fuzz.attack(target, tmp_path / "damage", 12, SEED))


# Those of `build` and `prepare` are killed in their own rooms too.
@pytest.mark.parametrize(
    "name", ["filter --apply", "pack", *(pytest.param(name, marks=SLOW) for name in ("build", "prepare", "split"))]
)
def test_kills(inputs: Inputs, tmp_path: Path, name: str) -> None:
    [job] = [one for one in kills.jobs(inputs) if one.name == name]
    held(kills.attack(job, tmp_path / "kills", 4, random.Random(SEED)))


def test_links_and_plug_ins(inputs: Inputs, tmp_path: Path) -> None:
    for attacks in (hostile.links, hostile.plugins):
        held(hostile.outcome(attacks.__name__, attacks, tmp_path / "hostile", inputs))


@SLOW
def test_odd_recipes_and_zips(inputs: Inputs, tmp_path: Path) -> None:
    for attacks in (odd.recipes, odd.archives):
        held(hostile.outcome(attacks.__name__, attacks, tmp_path / "odd", inputs))


@SLOW
def test_no_network(inputs: Inputs, tmp_path: Path) -> None:
    held(network.attack(inputs, tmp_path))


@SLOW
def test_pairs_and_disks(inputs: Inputs, tmp_path: Path) -> None:
    held(pairs.attack(inputs, tmp_path / "pairs", 1, random.Random(SEED)))
    held(*disks.attack(inputs, tmp_path / "disks", 1, random.Random(SEED)))
