"""Prompts of many kinds: drawn by the seed, all of them in time, and refused where they do not fit together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from earthsynth_factory.conditions.prompts import PromptSpec, PromptWriter
from earthsynth_factory.domain.taxonomy import earthsynth

SHIP, WATER = earthsynth().named("ship").id, earthsynth().named("water").id

GIVEN: dict[str, Any] = {
    "templates": ["A satellite image of {classes}", "{season} in {place}, {scale}: {classes}"],
    "words": {"season": ["summer", "winter"], "place": ["a harbour", "the open sea"]},
    "classes": {"ship": ["ship", "vessel"]},
}


def writer(**given: Any) -> PromptWriter:
    return PromptWriter(earthsynth(), scales=((1.0, "near"),), variety=PromptSpec.model_validate(given))


def test_one_seed_is_one_prompt_and_many_are_all() -> None:
    made = writer(**GIVEN)
    prompts = [made.write([SHIP, WATER], 0.5, seed=seed) for seed in range(400)]
    assert prompts == [made.write([SHIP, WATER], 0.5, seed=seed) for seed in range(400)]
    assert len(set(prompts)) == 2 + 2 * 4
    counts = Counter("vessel" in prompt for prompt in prompts)
    assert min(counts.values()) > 150, "evenly"
    assert {prompt for prompt in prompts if prompt.startswith("winter in a harbour, near: ")} == {
        "winter in a harbour, near: water, ship",
        "winter in a harbour, near: water, vessel",
    }


def test_without_variety_the_prompt_is_the_models() -> None:
    plain = PromptWriter(earthsynth(), words={SHIP: "boat"})
    assert {plain.write([SHIP], 0.5, seed=seed) for seed in range(9)} == {"A satellite image of boat"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"templates": ["a photo"]}, r"write \{classes\} where the classes are to stand"),
        ({"templates": ["{season} {classes}"]}, r"other fields are \{scale\}"),
        ({"templates": ["{classes:>999999999}"]}, r"other fields are"),
        ({"templates": ["{classes.__class__}"]}, r"write \{classes\}"),
        ({"templates": ["{classes"]}, r"write braces around \{classes\}, \{scale\} alone"),
        ({"templates": ["{classes}"], "words": {"season": ["summer"]}}, r"no template has \{season\}"),
        ({"words": {"season": ["summer"]}}, r"no template has \{season\}"),
        ({"templates": ["{classes}"], "words": {"classes": ["x"]}}, r"'classes' is a field of its own"),
        ({"templates": ["{season} {classes}"], "words": {"season": []}}, "at least 1 item"),
        ({"seasons": ["x"]}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PromptSpec.model_validate(given)
