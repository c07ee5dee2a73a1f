"""Does the recipe ask of its model what the model's card says it has learnt?"""

from __future__ import annotations

from pathlib import Path as FilePath

from earthsynth_factory.build.preflight.finding import Finding, Findings, Stops
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.recipe.cross_checks import Path
from earthsynth_factory.recipe.load import LoadedRecipe
from earthsynth_factory.recipe.schema import Recipe

SIZE_FACTOR = 1.5
"""Images larger or smaller than the model's own by more than this are known to be poor."""

SCALE_SLACK = 2.0
"""Metres per pixel this many times beyond the outermost scales of a card are not warned of."""


def card_at_hand(recipe: Recipe, base: FilePath) -> ModelCard | None:
    """The card of the recipe's model; None if it is not on this machine, or cannot be read, which is said elsewhere."""
    try:
        return recipe.synthesis.card_at_hand(base)
    except ModelError:
        return None


def unknown_targets(recipe: Recipe, card: ModelCard) -> list[str]:
    """Names of the classes asked for that the card does not know, in the recipe's order."""
    if card.categories is None:
        return []
    return [category.name for category, block in recipe.blocks() if block.count and category.id not in card.categories]


def look(loaded: LoadedRecipe) -> Findings:
    """Classes, context, size and scale beyond the card."""
    recipe = loaded.recipe
    card = card_at_hand(recipe, loaded.base)
    if card is None or recipe.is_dry_run():
        return
    yield from _classes(recipe, card)
    yield from _context(recipe, card)
    yield from _size(recipe, card)
    yield from _scale(recipe, card)
    yield from _negative_prompts(recipe, card)


def _classes(recipe: Recipe, card: ModelCard) -> Findings:
    unknown = unknown_targets(recipe, card)
    for place, (category, block) in enumerate(recipe.blocks()):
        if block.count and category.name in unknown:
            said = f"the model ({card.name}) has not learnt this class and would draw anything with its label; "
            remedy = "choose a class of its card, another model, or set `allow_unknown: true` to see what comes"
            yield Finding(
                ("categories", place, "name"), said + remedy, Stops.NOTHING if recipe.allow_unknown else Stops.BUILD
            )


def _context(recipe: Recipe, card: ModelCard) -> Findings:
    if card.categories is None:
        return
    taxonomy = recipe.taxonomy()
    for place, block in enumerate(recipe.categories):
        for position, name in enumerate(block.context or ()):
            if taxonomy.named(name).id not in card.categories:
                said = f"surroundings that the model ({card.name}) has not learnt; leave this class out of `context`"
                yield Finding(("categories", place, "context", position), said)


def _size(recipe: Recipe, card: ModelCard) -> Findings:
    if recipe.synthesis.any_size:
        return
    factor = max(recipe.image.size) / card.native_size
    in_windows = factor > SIZE_FACTOR and getattr(recipe.synthesis, "windows", False) is not False
    if not in_windows and not 1 / SIZE_FACTOR <= factor <= SIZE_FACTOR:
        said = f"the model ({card.name}) was trained at {card.native_size} pixels and is poor at other sizes; set that"
        yield Finding(("image", "size"), said)


def _scale(recipe: Recipe, card: ModelCard) -> Findings:
    """Only a card with words for scales says which ones it has seen; the last of them is open above."""
    bounds = [bound for bound, _ in card.scales[:-1]]
    if not bounds:
        return
    low, high = bounds[0] / SCALE_SLACK, bounds[-1] * SCALE_SLACK
    asked: list[tuple[Path, tuple[float, float]]] = [(("image", "metres_per_pixel"), recipe.image.metres_per_pixel)]
    asked += [
        (("categories", place, "metres_per_pixel"), block.metres_per_pixel)
        for place, block in enumerate(recipe.categories)
        if block.metres_per_pixel
    ]
    for path, span in asked:
        if span[0] < low or span[1] > high:
            said = f"outside the {low:g}..{high:g} metres per pixel that the model ({card.name}) has seen"
            yield Finding(path, said)


def _negative_prompts(recipe: Recipe, card: ModelCard) -> Findings:
    """Without guidance nothing is led away from anything."""
    if recipe.synthesis.guided(card):
        return
    places: list[tuple[Path, str | None]] = [
        (("synthesis", "negative_prompt"), getattr(recipe.synthesis, "negative_prompt", None)),
        *(
            (("categories", place, "negative_prompt"), one.negative_prompt)
            for place, one in enumerate(recipe.categories)
        ),
    ]
    for path, text in places:
        if text:
            yield Finding(path, "does nothing without guidance; set `guidance` above 1, or leave it out")
