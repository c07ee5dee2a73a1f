"""Whatever becomes of a recipe's text or data: a recipe that plans, or a RecipeError. Never another exception."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from earthsynth_factory.build.plan import Plan, estimate
from earthsynth_factory.domain.plugins import plugins_allowed
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.recipe.load import parse_recipe

TEXT = """\
name: mutant
seed: 3
image: {size: 64, metres_per_pixel: 0.5..1}
categories:
  - {name: storage tank, count: 10, instances: 2..12, size: 3..9, context: [water, road]}
  - {name: solar panel, count: 3, id: 80, color: "#203040", thing: true, words: panels}
negatives: 2
conditions:
  - {kind: procedural, weight: 2, density: 0.5}
  - {kind: dataset, path: masks, classes: {1: road}, variants: {mirror: false}}
  - {kind: tests.recipe.plugins:Source, either: {side: 2}, shapes: [{side: 1}]}
synthesis: {model: {base: a/b, controlnet: c/d}, steps: 4}
rfilter: {candidates: 2, max_attempts: 4, rules: [image_quality, {kind: clip_score, rank: 1}]}
labels: {min_area: 4, min_visible: 0.5}
splits: {train: 0.7, val: 0.2, test: 0.1}
exports: [coco, {kind: semantic}]
engine: {workers: 2, shard_size: 8, device: cpu}
"""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["..", "1..", "a:b", "os:path", ":", "procedural", "plane", "2026-01-01", "~", "#", "*x"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    """The plug-ins of these tests are ours."""
    with plugins_allowed():
        yield


def survives(text: str, *changes: str) -> None:
    try:
        recipe = parse_recipe(text, "r.yaml", changes)
    except RecipeError as error:
        assert error.faults
        assert all("→" in fault and "\n" not in fault for fault in error.faults)
        return
    if recipe.images < 100_000:
        plan = Plan.of(recipe)
        assert len(plan) == recipe.images == estimate(plan, recipe, None).images // recipe.rfilter.candidates
        plan.slot(len(plan) - 1)


def spots(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(spot for key, value in items for spot in spots(value, (*path, key)))]


def load() -> Any:
    return YAML(typ="safe", pure=True).load(TEXT)


def dump(data: Any) -> str:
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(data, stream)
    return stream.getvalue()


@settings(max_examples=60)
@given(st.data())
def test_values_dropped_renamed_and_retyped(source: st.DataObject) -> None:
    data = load()
    for _ in range(source.draw(st.integers(1, 3))):
        path = source.draw(st.sampled_from([spot for spot in spots(data) if spot]))
        parent = data
        for step in path[:-1]:
            parent = parent[step]
        kind = source.draw(st.sampled_from(["drop", "rename", "replace"]))
        if kind == "replace":
            parent[path[-1]] = source.draw(VALUES)
        elif kind == "drop" or isinstance(parent, list):
            del parent[path[-1]]
        else:
            parent[source.draw(st.text(min_size=1, max_size=8))] = parent.pop(path[-1])
    survives(dump(data))


@settings(max_examples=60)
@given(st.integers(0, len(TEXT)), st.integers(0, 12), st.text(alphabet="{}[]:,-&*!#'\"|>%@`~\t\n ax0.<", max_size=6))
def test_text_cut_and_pasted(start: int, length: int, inserted: str) -> None:
    survives(TEXT[:start] + inserted + TEXT[start + length :])


@settings(max_examples=20)
@given(st.integers(0, TEXT.count("\n")), st.integers(0, TEXT.count("\n") - 1))
def test_lines_repeated_elsewhere(to: int, line: int) -> None:
    lines = TEXT.splitlines()
    survives("\n".join([*lines[:to], lines[line], *lines[to:]]))


@settings(max_examples=50)
@given(
    st.text(alphabet="abcdeimnorst.0123_ ", max_size=14)
    | st.sampled_from([".".join(map(str, s)) for s in spots(load())]),
    st.text(max_size=10),
)
def test_overrides(key: str, value: str) -> None:
    survives(TEXT, f"{key}={value}")


def test_the_original_is_valid() -> None:
    assert parse_recipe(TEXT, "r.yaml").images == 15
