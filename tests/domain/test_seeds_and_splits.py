"""Seeds belong to what they are for; groups go to one split each, whatever their order."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from earthsynth_factory.domain.seeds import derive, one_of, rng, unit
from earthsynth_factory.domain.splits import assign_groups


def test_a_seed_is_the_same_on_every_machine() -> None:
    assert derive(7, "slot", 12) == 9178301433305058455
    assert derive(7, "slot", 12) != derive(7, "slot", 13) != derive(8, "slot", 12)
    assert derive(7, "1") != derive(7, 1), "a word and a number are two things"
    assert rng(7, "a").integers(1 << 30) == rng(7, "a").integers(1 << 30)


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9))
def test_units_lie_in_the_unit_interval(seed: int, part: int) -> None:
    assert 0 <= unit(seed, part) < 1
    assert 0 <= derive(seed, part) < 2**63


def _groups(count: int) -> dict[str, list[int]]:
    return {f"scene {number}": [number % 3, 9] if number % 10 else [42] for number in range(count)}


def test_one_of_several_is_what_numpy_chooses() -> None:
    ours, numpys = rng(3, "a"), rng(3, "a")
    for several in (["a", "b"], [2, 2, 4], ["one"], ["w", "x", "y", "z", "z"]) * 20:
        assert one_of(ours, several) == numpys.choice(several)


def test_shares_are_kept_and_rare_classes_reach_every_split() -> None:
    groups = _groups(100)
    assigned = assign_groups(groups, {"train": 0.7, "val": 0.2, "test": 0.1}, seed=1)
    counts = Counter(assigned.values())
    assert abs(counts["train"] - 70) <= 3
    assert abs(counts["val"] - 20) <= 3
    rare = Counter(assigned[group] for group in groups if 42 in groups[group])
    assert set(rare) == {"train", "val", "test"}


def test_the_order_of_groups_does_not_matter() -> None:
    groups = _groups(40)
    names = list(groups)
    random.Random(3).shuffle(names)
    shares = {"train": 0.8, "val": 0.2}
    assert assign_groups({name: groups[name] for name in names}, shares, 5) == assign_groups(groups, shares, 5)
    assert assign_groups(groups, shares, 6) != assign_groups(groups, shares, 5)


def test_no_split_stays_empty_while_there_are_groups_enough() -> None:
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    three = assign_groups({"a": [1], "b": [1], "c": [1, 2]}, shares, 0)
    assert sorted(three.values()) == ["test", "train", "val"]
    assert sorted(assign_groups({"a": [1], "b": [2]}, shares, 0).values()) == ["train", "val"]
    assert set(assign_groups({"a": [1]}, shares, 0).values()) == {"train"}
