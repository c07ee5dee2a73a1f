"""filter.yaml: which rules are asked, how they are combined, and where thresholds come from.

    rules: [image_quality, {kind: clip_score, min_margin: -0.05}, instance_class]
    keep: image_quality and (clip_score or instance_class >= 0.8)
    per_class: {ship: {clip_score: -0.1}}
    false_reject: 0.1
    select: [duplicates, {kind: top, count: 500}]

A threshold is, in this order: that of `per_class`; the one written in the rule; a percentile of real images; without
those, for a build the one that ships, for other folders and rules with a model a percentile within the run; else the
rule's default.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny, model_validator

from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.recipe.cross_checks import MeaningError, Problem
from earthsynth_factory.recipe.load import load_block
from earthsynth_factory.recipe.plugin_blocks import BlockParser, RuleBlock
from earthsynth_factory.rfilter.base import DEFAULT_RULES
from earthsynth_factory.rfilter.expression import Expression, ExpressionError
from earthsynth_factory.rfilter.selections import base as selections

SELECTION = BlockParser("selection", selections.SelectionSpec, selections.KINDS)
SelectionBlock = Annotated[SerializeAsAny[selections.SelectionSpec], BeforeValidator(SELECTION.parse)]


class FilterSpec(Spec):
    """A filter's configuration; see the module."""

    rules: tuple[RuleBlock, ...] = Field(default=DEFAULT_RULES, validate_default=True)
    """Asked of every image; a kind stands once."""
    keep: str | None = None
    """Expression over the rules' names; without one every rule must pass."""
    per_class: dict[str, dict[str, float]] = Field(default={})
    """Category → rule → least value."""
    false_reject: float = Field(default=0.1, gt=0, lt=1)
    """Share of real images that all calibrated rules together may refuse."""
    least_images: int = Field(default=20, ge=1)
    """Classes with fewer images share the percentile of all classes."""
    select: tuple[SelectionBlock, ...] = Field(default=("duplicates",), validate_default=True)
    """Asked in this order of what the rules kept."""

    @model_validator(mode="after")
    def _make_sense(self) -> FilterSpec:
        names = [rule.kind for rule in self.rules]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"rules: {', '.join(sorted(twice))} stands twice; a filter asks each rule once")
        for category, limits in self.per_class.items():
            if strange := set(limits) - set(names):
                raise ValueError(f"per_class: {category}: no rule is called {', '.join(sorted(strange))}")
        try:
            self.expression()
        except ExpressionError as error:
            raise MeaningError([Problem(("keep",), str(error).removeprefix("keep: "), error.at)]) from error
        return self

    def expression(self) -> Expression:
        """How the rules are combined."""
        names = tuple(rule.kind for rule in self.rules)
        return _expression(self.keep or " and ".join(names) or "True", names)


@cache
def _expression(text: str, names: tuple[str, ...]) -> Expression:
    """Parsed once: it is asked for every image."""
    return Expression(text, names)


def load_filter(path: Path | None, plugins: bool = False) -> FilterSpec:
    """The configuration in a file, or the one that ships. Raises RecipeError with every fault of the file."""
    return FilterSpec() if path is None else load_block(path, lambda _: FilterSpec, plugins=plugins)
