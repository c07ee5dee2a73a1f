"""The plan: counts, interleaving, exact shares, seeds that stay; and a million slots."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earthsynth_factory.build.plan import Plan, estimate, share_out
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.recipe.load import parse_recipe
from earthsynth_factory.recipe.schema import Recipe

TEXT = """\
name: x
seed: 5
image: {size: [64, 128]}
categories: [{name: plane, count: 20}, {name: ship, count: 10}, {name: water, count: 0}]
negatives: 5
conditions: [{kind: procedural}]
synthesis: {kind: fake}
exports: []
"""


def recipe(*changes: str) -> Recipe:
    return parse_recipe(TEXT, "r.yaml", changes)


def test_counts_by_class_and_split() -> None:
    plan = Plan.of(recipe())
    assert plan.needs() == [
        (16, "train", 16), (16, "val", 4), (17, "train", 8), (17, "val", 2), (None, "train", 4), (None, "val", 1),
    ]  # fmt: skip
    slots = [plan.slot(index) for index in range(len(plan))]
    assert Counter((slot.category, slot.split) for slot in slots) == {(c, s): n for c, s, n in plan.needs()}


def test_half_of_the_plan_holds_half_of_each() -> None:
    plan = Plan.of(recipe("categories.0.count=400", "categories.1.count=100", "negatives=50"))
    half = Counter(plan.slot(index).category for index in range(len(plan) // 2))
    assert half == {16: 200, 17: 50, None: 25}


def test_slots_are_seeded_by_number_alone() -> None:
    plan = Plan.of(recipe())
    assert plan.slot(7).seed == derive(5, "slot", 7) == Plan.of(recipe("negatives=0")).slot(7).seed
    assert [plan.slot(i) for i in range(35)] == [Plan.of(recipe()).slot(i) for i in range(35)]
    with pytest.raises(IndexError, match="slot 35 is outside 0–34"):
        plan.slot(35)
    with pytest.raises(IndexError, match="slot -1 is outside"):
        plan.slot(-1)


def test_dealing_stays_the_same_for_ever() -> None:
    """Pinned: another dealing would move images of a dataset half built from one split to another."""
    plan = Plan.of(recipe())
    assert "".join(plan.slot(index).split[0] for index in range(len(plan))) == "tttttttttttvvvttvtttttttttttttvvtvt"


def test_dealing_differs_by_seed_and_class() -> None:
    one, other = Plan.of(recipe("categories.1.count=20")), Plan.of(recipe("categories.1.count=20", "seed=6"))
    assert not np.array_equal(one.split_index, other.split_index)
    planes, ships = (one.split_index[one.categories == number] for number in (16, 17))
    assert not np.array_equal(planes, ships)


@given(st.integers(0, 5000), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_shares_are_exact(count: int, weights: list[int]) -> None:
    shares = {f"s{index}": weight / sum(weights) for index, weight in enumerate(weights)}
    counts = share_out(count, shares)
    assert sum(counts.values()) == count
    assert all(abs(counts[name] - share * count) < 1 + 1e-6 for name, share in shares.items())


@pytest.mark.parametrize(
    ("count", "shares", "expected"),
    [
        (10, {"a": 0.7, "b": 0.2, "c": 0.1}, {"a": 7, "b": 2, "c": 1}),
        (1, {"a": 0.5, "b": 0.5}, {"a": 1, "b": 0}),
        (5, {f"s{i}": 0.1 for i in range(10)}, {f"s{i}": int(i < 5) for i in range(10)}),
        (3, {"val": 0.2, "train": 0.8}, {"val": 1, "train": 2}),
    ],
)
def test_remainders(count: int, shares: dict[str, float], expected: dict[str, int]) -> None:
    assert share_out(count, shares) == expected


def test_estimate() -> None:
    made = recipe("rfilter.candidates=2")
    cost = estimate(Plan.of(made), made, images_per_second=7.0)
    assert (cost.images, cost.seconds) == (70, 10.0)
    assert cost.bytes == 35 * 64 * 128 * 2
    assert estimate(Plan.of(made), made, None).seconds is None


def test_a_million_slots(capsys: pytest.CaptureFixture[str]) -> None:
    made = recipe("categories.0.count=700000", "categories.1.count=200000", "negatives=100000")
    started = time.perf_counter()
    tracemalloc.start()
    plan = Plan.of(made)
    needs = plan.needs()
    shard = [plan.slot(index) for index in range(500_000, 500_256)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    seconds = time.perf_counter() - started
    with capsys.disabled():
        print(f"\na million slots: {seconds:.2f} s, {peak / 1e6:.0f} MB at the peak")
    assert len(plan) == 1_000_000
    assert needs[0] == (16, "train", 560_000)
    assert len({slot.seed for slot in shard}) == 256
    assert seconds < 20
    assert peak < 200e6
