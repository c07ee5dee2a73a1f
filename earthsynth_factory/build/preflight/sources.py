"""Do the condition sources exist, and have they masks of every class in every split that asks for it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.preflight.finding import Finding, Findings, Stops
from earthsynth_factory.build.preflight.model_fit import card_at_hand
from earthsynth_factory.conditions.base import ConditionSource, SourceContext
from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.taxonomy import Category
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.cache import cache_folder
from earthsynth_factory.recipe.cross_checks import Path
from earthsynth_factory.recipe.load import LoadedRecipe


def look_at_sources(loaded: LoadedRecipe) -> Findings:
    """Every source that cannot be opened; if all can, every class and split that none of them serves."""
    opened, faults = _opened(loaded)
    yield from faults
    if faults:
        return
    lacking: dict[int | None, list[tuple[str, int]]] = {}
    for category, split, count in Plan.of(loaded.recipe).needs():
        wanted = None if category is None else loaded.recipe.taxonomy()[category]
        if not any(source.supports(wanted, split) for source in opened):
            lacking.setdefault(category, []).append((split, count))
    held = _held(opened)
    for category, splits in lacking.items():
        yield Finding(_place(loaded, category), _lack(loaded, category, splits, held), Stops.EVERYTHING)


def _opened(loaded: LoadedRecipe) -> tuple[list[ConditionSource], list[Finding]]:
    recipe, card = loaded.recipe, card_at_hand(loaded.recipe, loaded.base)
    taxonomy = recipe.taxonomy()
    prompts = PromptWriter(taxonomy, card.prompt_template, card.scales) if card else PromptWriter(taxonomy)
    context = SourceContext(taxonomy, prompts, recipe.splits, recipe.seed, loaded.base, cache_folder())
    opened, faults = [], []
    for place, spec in enumerate(recipe.conditions):
        try:
            opened.append(spec.build(context))
        except InputError as error:
            key: Path = ("conditions", place, "path") if hasattr(spec, "path") else ("conditions", place)
            faults.append(Finding(key, str(error), Stops.EVERYTHING))
    return opened, faults


def _held(sources: Sequence[ConditionSource]) -> Mapping[int, int]:
    held: Counter[int] = Counter()
    for source in sources:
        held.update(source.masks_of())
    return held


def _place(loaded: LoadedRecipe, category: int | None) -> Path:
    if category is None:
        return ("negatives",)
    places = {one.id: place for place, (one, _) in enumerate(loaded.recipe.blocks())}
    return ("categories", places[category], "name")


def _lack(
    loaded: LoadedRecipe, category: int | None, splits: Sequence[tuple[str, int]], held: Mapping[int, int]
) -> str:
    """What is missing, and the likeliest way to have it."""
    asked = ", ".join(f"{split} ({count} images)" for split, count in splits)
    said = f"no source has masks for it in the split {asked}"
    if category is None:
        return f"{said}; every mask shows a class that is asked for: add `- kind: procedural`, or ask for no negatives"
    if held.get(category):
        return (
            f"{said}: {held[category]} masks hold it, of too few scenes for every split; add masks of other scenes, or "
            "give `splits: {train: 1.0}`"
        )
    return f"{said}; {_unused(loaded, category, held)}add a source that has, or leave the class out"


def _unused(loaded: LoadedRecipe, category: int, held: Mapping[int, int]) -> str:
    """Ids that the masks hold and nobody asks for: perhaps one of them is meant."""
    taxonomy, targets = loaded.recipe.taxonomy(), set(loaded.recipe.targets())
    spare = sorted(((count, one) for one, count in held.items() if one not in targets), reverse=True)
    if not spare:
        return ""
    listed = ", ".join(f"{count} masks with id {one} ({taxonomy[one].name})" for count, one in spare[:4])
    name: Category = taxonomy[category]
    return f"there are {listed}: if one of them is meant, say `classes: {{{spare[0][1]}: {name.name}}}` in the source; else "
