"""The line, built from a recipe: every stage as a plain method. It holds no state of any slot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earthsynth_factory.build.pairs import merged, synthesised
from earthsynth_factory.conditions.base import ConditionSource, SourceContext, Want, WantedPair
from earthsynth_factory.conditions.prompts import PromptSpec, PromptWriter
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Sample, Slot, Verdict
from earthsynth_factory.domain.seeds import derive, unit
from earthsynth_factory.domain.taxonomy import Category, Taxonomy
from earthsynth_factory.errors import Interrupted, NoCondition
from earthsynth_factory.io.cache import cache_folder
from earthsynth_factory.labels.from_condition import map_labels
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.recipe.schema import CategoryBlock, Recipe
from earthsynth_factory.recipe.thresholds import load_thresholds
from earthsynth_factory.rfilter.judge import Judge, Limits
from earthsynth_factory.rfilter.thresholds import Thresholds
from earthsynth_factory.synthesis.base import ImageGenerator

DRAWS_PER_CONDITION = 12
"""How many seeds of a source are tried before a condition counts as impossible; a draw costs milliseconds."""


@dataclass(frozen=True)
class Pipeline:
    """Conditions → images → filter → labels, for one recipe on one device.

    sources: (source, weight) in the recipe's order. learnt: class ids that negatives may show. `draw` and `label` may be
    called from several threads, `synthesise` and `judge` from one each.
    """

    recipe: Recipe
    taxonomy: Taxonomy
    blocks: Mapping[int, CategoryBlock]
    sources: Sequence[tuple[ConditionSource, float]]
    generator: ImageGenerator
    rules: Judge
    thresholds: Thresholds
    card: ModelCard
    learnt: tuple[int, ...] | None

    @classmethod
    def of(cls, recipe: Recipe, base: Path, device: str) -> Pipeline:
        """Build every stage; sources read their indexes, models are not loaded yet.

        Raises SourceError, ModelError, RecipeError if the file of thresholds is wrong.

        base: the folder that relative paths of the recipe start from.
        """
        taxonomy, thresholds = recipe.taxonomy(), load_thresholds(recipe, base)
        card = recipe.synthesis.card(base)
        prompts = PromptWriter(
            taxonomy, card.prompt_template, card.scales, recipe.words(), recipe.prompts or PromptSpec()
        )
        blocks = {category.id: block for category, block in recipe.blocks()}
        drawing = SourceContext(taxonomy, prompts, recipe.splits, recipe.seed, base, cache_folder())
        context = StageContext(taxonomy, recipe.targets(), base, device)
        return cls(
            recipe=recipe,
            taxonomy=taxonomy,
            blocks=blocks,
            sources=[(spec.build(drawing), spec.weight) for spec in recipe.conditions],
            generator=recipe.synthesis.build(context),
            rules=Judge.of(recipe.rfilter.rules, context, Limits(given=thresholds)),
            thresholds=thresholds,
            card=card,
            learnt=_learnt(card, taxonomy, blocks.keys()),
        )

    def open(self) -> None:
        """Load the models. Raises ModelError."""
        self.generator.open()
        self.rules.open()

    def describe(self) -> dict[str, Any]:
        """Models, devices and data licences for the run record, once open."""
        return {
            "synthesis": {
                **self.generator.describe(),
                "digital_source_type": self.recipe.synthesis.digital_source.value,
            },
            "rfilter": dict(self.rules.describe()),
            "licences": [line for source, _ in self.sources for line in source.licences()],
        }

    # Stage 1
    def draw(self, slot: Slot, number: int, stopped: Callable[[], bool] = lambda: False) -> Condition:
        """The slot's condition of this number. Raises NoCondition if no source has one, SourceError, and Interrupted once
        it is `stopped`.
        """
        source = self._choose(slot, number)
        reason = NoCondition("never drawn")
        for draw in range(DRAWS_PER_CONDITION):
            if stopped():
                raise Interrupted("stopped before a condition was drawn")
            try:
                return self._led(source.draw(self._want(slot, derive(slot.seed, "condition", number, draw))), slot)
            except NoCondition as error:
                reason = error
        raise reason

    # Stage 2
    def synthesise(self, slots: Sequence[Slot], attempts: Sequence[int], drawn: Sequence[Condition]) -> list[Candidate]:
        """One image for each request, in one batch."""
        seeds = [derive(slot.seed, "image", attempt) for slot, attempt in zip(slots, attempts, strict=True)]
        return synthesised(self.generator, list(zip(slots, attempts, seeds, drawn, strict=True)))

    # Stage 3
    def judge(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """A verdict for each candidate; one of a pair is held to what its twin is worth, too."""
        twins = [candidate.twin for candidate in candidates if candidate.twin is not None]
        verdicts = self.rules.judge([*candidates, *twins])
        others = iter(verdicts[len(candidates) :])
        return [
            verdict if candidate.twin is None else merged(verdict, next(others))
            for candidate, verdict in zip(candidates, verdicts, strict=False)
        ]

    # Stage 4
    def label(self, candidate: Candidate, verdict: Verdict) -> Sample:
        """The candidate as a sample, its labels read from its condition."""
        return Sample(candidate, verdict, map_labels(candidate.condition, self.recipe.labels, self.taxonomy))

    def _led(self, condition: Condition, slot: Slot) -> Condition:
        """With the negative prompt of the class that it is drawn for, if that has one."""
        block = self.blocks.get(slot.category or 0)
        return (
            replace(condition, negative_prompt=block.negative_prompt) if block and block.negative_prompt else condition
        )

    def _category(self, category: int | None) -> Category | None:
        return None if category is None else self.taxonomy[category]

    def _able(self, category: Category | None, split: str) -> list[tuple[ConditionSource, float]]:
        return [(source, weight) for source, weight in self.sources if source.supports(category, split)]

    def _choose(self, slot: Slot, number: int) -> ConditionSource:
        able = self._able(self._category(_asked(slot)), slot.split)
        if slot.pair is not None:
            able = [(source, weight) for source, weight in able if source.makes_pairs]
        mark = unit(slot.seed, "source", number) * sum(weight for _, weight in able)
        for source, weight in able:
            mark -= weight
            if mark < 0:
                return source
        raise NoCondition(f"no condition source has this category in the split {slot.split}")

    def _want(self, slot: Slot, seed: int) -> Want:
        image, block, pair = self.recipe.image, self.blocks.get(_asked(slot) or 0), slot.pair
        low, high = (block and block.metres_per_pixel) or image.metres_per_pixel
        named = block.context if block else None
        context = None if named is None else tuple(self.taxonomy.named(name).id for name in named)
        return Want(
            category=self._category(_asked(slot)),
            height=image.height,
            width=image.width,
            # Log-uniform: halving and doubling the scale are equally likely.
            metres_per_pixel=low * (high / low) ** unit(seed, "metres per pixel"),
            instances=block.instances if block else None,
            object_size=block.size if block else None,
            context=context if block else self.learnt,
            avoid=frozenset() if block else frozenset(self.recipe.targets()),
            split=slot.split,
            seed=seed,
            ordinal=slot.ordinal,
            pair=None if pair is None else WantedPair(self._category(pair.instead), pair.counterfactual),
        )


def _asked(slot: Slot) -> int | None:
    """The class that the slot's scene is drawn for: of a pair that of the factual image."""
    return slot.pair.category if slot.pair else slot.category


def _learnt(card: ModelCard, taxonomy: Taxonomy, asked: Collection[int]) -> tuple[int, ...] | None:
    """The classes that a model draws: those of its card and of the recipe. None: all, or no land cover for a negative.

    A class that the model never saw would be a colour without a meaning to it.
    """
    if card.categories is None:
        return None
    known = [category for category in taxonomy if category.id in card.categories or category.id in asked]
    all_known = len(known) == len(taxonomy.categories) - 1  # all but the background
    has_ground = any(not category.thing and category.id not in asked for category in known)
    return None if all_known or not has_ground else tuple(category.id for category in known)
