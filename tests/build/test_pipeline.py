"""What the line asks of its condition sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import write_recipe

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"


def negatives(recipe: Path, *changes: str) -> tuple[Pipeline, set[int]]:
    """The line, and the classes in the masks of six negatives."""
    loaded = load_recipe(recipe, changes)
    pipeline, plan = Pipeline.of(loaded.recipe, loaded.base, "cpu"), Plan.of(loaded.recipe)
    slots = [slot for slot in map(plan.slot, range(len(plan))) if slot.category is None]
    drawn = [pipeline.draw(slot, number) for slot in slots for number in range(3)]
    assert len(drawn) == 6
    return pipeline, set(np.unique(np.stack([condition.mask for condition in drawn])).tolist())


def test_a_negative_shows_only_what_the_model_has_learnt() -> None:
    pipeline, shown = negatives(QUICKSTART)
    learnt = pipeline.recipe.synthesis.card(QUICKSTART.parent).categories
    assert learnt is not None
    assert shown > {0, 2, 4}
    assert shown <= {0, *learnt} - set(pipeline.recipe.targets())


def test_a_model_that_does_not_say_what_it_knows_may_be_shown_everything(tmp_path: Path) -> None:
    pipeline, shown = negatives(write_recipe(tmp_path), "negatives=2")
    assert pipeline.learnt is None
    assert {3, 5} & shown, "pavement or trees, which the embedded model has not learnt"
