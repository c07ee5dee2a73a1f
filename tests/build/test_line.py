"""What the line asks of its condition sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earthsynth_factory.build.pipeline import Line
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import write_recipe

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"


def negatives(recipe: Path, *changes: str) -> tuple[Line, set[int]]:
    """The line, and the classes in the masks of six negatives."""
    loaded = load_recipe(recipe, changes)
    line, plan = Line.of(loaded.recipe, loaded.base, "cpu"), Plan.of(loaded.recipe)
    slots = [slot for slot in map(plan.slot, range(len(plan))) if slot.category is None]
    drawn = [line.draw(slot, number) for slot in slots for number in range(3)]
    assert len(drawn) == 6
    return line, set(np.unique(np.stack([condition.mask for condition in drawn])).tolist())


def test_a_negative_shows_only_what_the_model_has_learnt() -> None:
    line, shown = negatives(QUICKSTART)
    learnt = line.recipe.synthesis.card(QUICKSTART.parent).categories
    assert learnt is not None
    assert shown > {0, 2, 4}
    assert shown <= {0, *learnt} - set(line.recipe.targets())


def test_a_model_that_does_not_say_what_it_knows_may_be_shown_everything(tmp_path: Path) -> None:
    line, shown = negatives(write_recipe(tmp_path), "negatives=2")
    assert line.learnt is None
    assert {3, 5} & shown, "pavement or trees, which the embedded model has not learnt"
