"""Every recipe that ships says how to run it, is valid, plans, and its sources can draw what it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.build.plan import Plan
from earthsynth_factory.conditions.base import SourceContext, Want
from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.recipe.load import load_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
SHIPPED = sorted(path for path in FOLDER.rglob("*.yaml") if "\nkind: " not in path.read_text())  # those train


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_opens_with_what_it_makes_and_how(path: Path) -> None:
    lines = path.read_text().splitlines()
    opening = "\n".join(lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])
    assert f"earthsynth-factory build recipes/{path.name}" in opening
    assert "Memory" in opening
    assert "Time: see `" in opening


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_is_valid_and_plans(path: Path) -> None:
    recipe = load_recipe(path).recipe
    plan = Plan.of(recipe)
    assert len(plan) == recipe.images > 0
    assert {category for category, _, _ in plan.needs()} - {None} == set(recipe.targets())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_drawn_sources_serve_every_class(path: Path, tmp_path: Path) -> None:
    loaded = load_recipe(path)
    recipe, taxonomy = loaded.recipe, loaded.recipe.taxonomy()
    context = SourceContext(taxonomy, PromptWriter(taxonomy), recipe.splits, recipe.seed, loaded.base, cache=tmp_path)
    drawn = [spec.build(context) for spec in recipe.conditions if spec.model_dump()["kind"] == "procedural"]
    if not drawn:
        pytest.skip("its masks are the user's own")
    split = next(iter(recipe.splits))
    for category, block in recipe.blocks():
        assert all(source.supports(category, split) for source in drawn), category.name
        want = Want(
            category=category,
            height=recipe.image.height,
            width=recipe.image.width,
            metres_per_pixel=(block.metres_per_pixel or recipe.image.metres_per_pixel)[1],
            instances=block.instances,
            object_size=block.size,
            context=tuple(taxonomy.named(name).id for name in block.context) if block.context else None,
            avoid=frozenset(),
            split=split,
            seed=derive(recipe.seed, category.id),
        )
        assert category.id in drawn[0].draw(want).classes()
