"""What changes the fingerprint and what does not, and how a difference reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from earthsynth_factory.domain.plugins import plugins_allowed
from earthsynth_factory.recipe.fingerprint import decisive, fingerprint, settings_difference
from earthsynth_factory.recipe.load import parse_recipe
from earthsynth_factory.recipe.schema import Recipe

TEXT = """\
name: x
categories: [{name: plane, count: 3}]
conditions: [{kind: tests.recipe.plugins:Source}]
synthesis: {kind: fake}
exports: []
"""


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    """The plug-ins of these tests are ours."""
    with plugins_allowed():
        yield


def recipe(*changes: str) -> Recipe:
    return parse_recipe(TEXT, "r.yaml", changes)


@pytest.mark.parametrize(
    "change",
    [
        "name=y",
        "exports=[coco]",
        "engine.workers=4",
        "engine.device=cpu",
        "synthesis.batch=3",
        "conditions.0.cache=false",
    ],
)
def test_what_decides_nothing(change: str) -> None:
    assert fingerprint(recipe(change), {}) == fingerprint(recipe(), {})


@pytest.mark.parametrize(
    "change",
    ["seed=1", "image.size=64", "categories.0.count=4", "negatives=1", "splits={train: 1}", "synthesis.grain=3",
     "conditions.0.weight=2", "rfilter.candidates=2", "labels.min_area=3", "categories.0.words=aeroplane"],
)  # fmt: skip
def test_what_decides(change: str) -> None:
    assert fingerprint(recipe(change), {}) != fingerprint(recipe(), {})


def test_identity_decides_and_order_of_keys_does_not() -> None:
    assert fingerprint(recipe(), {"weights": "a"}) != fingerprint(recipe(), {"weights": "b"})
    assert fingerprint(recipe(), {"a": 1, "b": 2}) == fingerprint(recipe(), {"b": 2, "a": 1})
    assert fingerprint(recipe("splits={train: 0.5, val: 0.5}"), {}) == fingerprint(
        recipe("splits={val: 0.5, train: 0.5}"), {}
    )


def test_the_number_itself_stays() -> None:
    """A change here makes datasets on disk foreign to their recipes, but for keys that count no more or not yet."""
    assert set(decisive(recipe())) == {
        "seed", "image", "categories", "negatives", "conditions", "synthesis", "rfilter", "labels", "splits",
    }  # fmt: skip
    assert fingerprint(recipe(), {}) == "c0c8b2905cc07a18eb7ff48a9c2cd32fe61e24fa724735df65832196cd71aeb4"


def record(made: Recipe, **identity: Any) -> dict[str, Any]:
    return {"recipe": made.model_dump(mode="json"), "identity": identity}


def test_difference_in_words() -> None:
    stored = record(recipe(), weights="aa")
    given = record(recipe("seed=4", "categories.1={name: ship, count: 1}", "engine.workers=3", "name=z"), weights="bb")
    lines = settings_difference(stored, given)
    assert lines[0] == "identity.weights: stored 'aa', now 'bb'"
    assert lines[1].startswith("recipe.categories.1: stored nothing, now {name, count}")
    assert lines[2:] == ["recipe.seed: stored 0, now 4"]
    assert settings_difference(stored, record(recipe("engine.writers=1"), weights="aa")) == []


def test_difference_to_a_record_of_another_version() -> None:
    lines = settings_difference({"recipe": {"name": "x", "old_key": 1}, "identity": {}}, record(recipe()))
    assert "recipe.old_key: stored 1, now nothing" in lines
