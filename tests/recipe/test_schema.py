"""What a valid recipe amounts to: its categories, ids, words; and what Python may not build either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.recipe.load import parse_recipe
from earthsynth_factory.recipe.plugin_blocks import EXPORT, GENERATOR, RULE, SOURCE
from earthsynth_factory.recipe.schema import Recipe, json_schema
from earthsynth_factory.recipe.template import STARTERS, starter

BASE: dict[str, Any] = {
    "name": "x",
    "categories": [{"name": "plane", "count": 1}],
    "conditions": [{"kind": "procedural"}],
    "synthesis": {"kind": "fake"},
}


def recipe(**keys: Any) -> Recipe:
    return Recipe.model_validate({**BASE, **keys})


def test_own_categories_get_free_ids_in_order() -> None:
    blocks = [
        {"name": "solar panel", "count": 1, "thing": True},
        {"name": "quarry", "count": 0, "id": 70, "color": "#ff8000", "thing": False},
        {"name": "greenhouse", "count": 2, "color": [1, 2, 3], "words": "rows of greenhouses"},
    ]
    made = recipe(categories=blocks)
    own = {category.id: category for category in made.taxonomy() if category.id > 68}
    assert {number: category.name for number, category in own.items()} == {
        69: "solar panel",
        70: "quarry",
        71: "greenhouse",
    }
    assert own[70].color == (255, 128, 0)
    assert [own[number].thing for number in (69, 70, 71)] == [True, False, True]
    assert made.targets() == (69, 71)
    assert made.words() == {71: "rows of greenhouses"}


def test_too_many_own_categories() -> None:
    blocks = [{"name": f"class {chr(97 + i // 26)}{chr(97 + i % 26)}", "count": 1, "thing": True} for i in range(187)]
    with pytest.raises(ValidationError, match="id 255 is outside 0–254"):
        recipe(categories=blocks)


@pytest.mark.parametrize("shares", [{"a": 0.7, "b": 0.2, "c": 0.1}, {"a": 1}, {f"s{i}": 0.1 for i in range(10)}])
def test_shares_that_sum_to_one(shares: dict[str, float]) -> None:
    assert recipe(splits=shares).splits == shares


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"splits": {"a": 0.5}}, "the shares sum to 0.5"),
        ({"splits": {"../a": 1.0}}, "should match pattern"),
        ({"categories": [{"name": "plane", "count": 0}]}, "no image is asked for"),
        ({"categories": [{"name": "plane", "count": 9_000_000}], "negatives": 1_000_000}, "makes up to 9999999"),
        ({"rfilter": {"candidates": 9}}, "raise that or lower this"),
        ({"rfilter": {"rules": ["image_quality", {"kind": "image_quality"}]}}, "given twice"),
    ],
)
def test_contradictions_are_refused_in_python_too(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(**keys)


def test_dumped_recipe_is_the_same_recipe() -> None:
    made = parse_recipe(starter("yolo", "x.yaml"), "starter")
    assert Recipe.model_validate(json.loads(made.model_dump_json())) == made


@pytest.mark.parametrize("purpose", STARTERS)
def test_starters_name_every_block_and_classes_that_their_model_knows(purpose: str) -> None:
    made = parse_recipe(starter(purpose, "x.yaml"), purpose)
    assert {line.partition(":")[0] for line in starter(purpose, "x.yaml").splitlines() if line[:1].isalpha()} >= (
        set(Recipe.model_fields)
        - {"labels", "engine", "store", "negatives", "allow_unknown", "prompts", "counterfactual"}
    )
    card = made.synthesis.card(Path())
    assert set(made.targets()) <= set(card.categories or ())
    assert max(made.image.size) == card.native_size


def test_rules_that_are_left_out_are_those_of_the_filter_and_calibrated() -> None:
    text = starter("yolo", "x.yaml")
    made = parse_recipe(text, "x")
    assert made.rfilter.rules == FilterSpec().rules
    assert made.rfilter.thresholds == "embedded"
    dry = parse_recipe(text.replace("model: embedded", "kind: fake"), "x")
    assert dry.rfilter.rules == () and dry.rfilter.candidates == 4
    own = parse_recipe(text.replace("candidates: 4", "rules: [layout_agreement]"), "x")
    assert [rule.segmenter for rule in own.rfilter.rules] == ["embedded"]  # type: ignore[attr-defined]
    assert own.rfilter.thresholds is None


def test_json_schema_describes_every_kind_and_key() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(Recipe.model_fields)
    text = json.dumps(schema)
    for stage in (SOURCE, GENERATOR, RULE, EXPORT):
        for kind in stage.kinds:
            assert f'"const": "{kind}"' in text
    assert "Share of the places" in text
    assert '"fingerprint"' not in text
    undescribed = [
        key for key, value in schema["properties"].items() if "description" not in value and "$ref" not in value
    ]
    assert undescribed in ([], ["rfilter", "labels", "image"])
    for reference in _references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_json_schema_accepts_what_we_accept() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    schema = json_schema()
    validator.check_schema(schema)
    from ruamel.yaml import YAML

    data = YAML(typ="safe", pure=True).load(starter("yolo", "x.yaml"))
    assert list(validator(schema).iter_errors(data)) == []
    assert list(validator(schema).iter_errors({**data, "sede": 1}))
    assert list(validator(schema).iter_errors({**data, "conditions": [{"kind": "procedural", "densty": 1}]}))


def _references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [found for value in schema.values() for found in _references(value)]
    return [found for item in schema for found in _references(item)] if isinstance(schema, list) else []
