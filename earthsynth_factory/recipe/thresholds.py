"""Thresholds of a recipe's rules from a file, class by class: what `filter --calibrate` learnt from real images.

learnt_from: 48 images of dubai        # for a reader
rules:
  clip_score:
    settings: {model: embedded}        # of the rule when it was calibrated; the recipe's must be the same
    least: {all: -0.081, ship: -0.102} # `all`: for classes without one of their own, and for negatives
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.recipe.cross_checks import unknown_category
from earthsynth_factory.recipe.document import Document, shown
from earthsynth_factory.recipe.reading import changed, read_recipe_text, refused, validated
from earthsynth_factory.recipe.schema import EMBEDDED_THRESHOLDS, Recipe
from earthsynth_factory.rfilter.base import KINDS, RuleSpec
from earthsynth_factory.rfilter.thresholds import Thresholds

ALL = "all"


class RuleThresholds(Spec):
    """What was learnt for one rule."""

    settings: dict[str, Any] = Field(default={})
    """The rule's other settings when it was calibrated; the same thresholds mean nothing under others."""
    least: dict[str, Annotated[float, Field(strict=True)]] = Field(min_length=1)
    """Category, or `all` → least value of the rule's primary measure."""


class ThresholdFile(Spec):
    """A file of thresholds; see the module."""

    learnt_from: str = ""
    """What it was learnt from, in words."""
    rules: dict[str, RuleThresholds]
    """Rule → its thresholds."""


def lasting_settings(spec: RuleSpec) -> dict[str, Any]:
    """The settings that a rule's measures depend on, as plain JSON."""
    return spec.model_dump(mode="json", exclude={*spec.deciding, "rank", "kind"})


def load_thresholds(recipe: Recipe, base: Path) -> Thresholds:
    """The thresholds of the recipe's file for the rules that it asks; none if it names no file.

    base: the folder that relative paths of the recipe start from. Raises RecipeError with every fault of the file.
    """
    if recipe.rfilter.thresholds is None:
        return Thresholds()
    if recipe.rfilter.thresholds == EMBEDDED_THRESHOLDS:
        return embedded_thresholds(recipe.rfilter.rules, recipe.taxonomy())
    path = base / Path(recipe.rfilter.thresholds).expanduser()
    if path.exists() and not path.is_file():
        raise RecipeError([f"{path} → is no file; name the thresholds.yaml that `filter --calibrate` wrote"])
    document = changed(read_recipe_text(path), str(path), ())
    file, taxonomy = validated(document, ThresholdFile), recipe.taxonomy()
    asked = {rule.kind: rule for rule in recipe.rfilter.rules}
    for name, found in file.rules.items():
        _check_rule(document, name, found, asked)
        _check_categories(document, name, found, taxonomy)
    if document.faults:
        raise refused(document)
    return Thresholds({name: _by_class(found.least, taxonomy) for name, found in file.rules.items() if name in asked})


def embedded_thresholds(rules: Sequence[RuleSpec], taxonomy: Taxonomy) -> Thresholds:
    """The least values that ship, for those of `rules` that are set as they were calibrated and have none of their own."""
    path = EMBEDDED / "thresholds.yaml"
    file = validated(changed(read_recipe_text(path), str(path), ()), ThresholdFile)
    asked = {rule.kind: rule for rule in rules if rule.threshold and rule.threshold not in rule.model_fields_set}
    return Thresholds(
        {
            kind: _by_class(
                {word: value for word, value in found.least.items() if word == ALL or taxonomy.find(word)}, taxonomy
            )
            for kind, found in file.rules.items()
            if kind in asked and found.settings == lasting_settings(asked[kind])
        }
    )


def check_thresholds(document: Document, recipe: Recipe, base: Path) -> None:
    """Note in the recipe's document what is wrong with its thresholds, at the recipe's own places.

    Raises RecipeError with the faults of a file that could be read.
    """
    if recipe.rfilter.thresholds in (None, EMBEDDED_THRESHOLDS):
        return
    assert recipe.rfilter.thresholds is not None
    path = base / Path(recipe.rfilter.thresholds).expanduser()
    if not path.is_file():
        message = "no such file; `filter --calibrate` writes one"
        document.fault(("rfilter", "thresholds"), message, shown(recipe.rfilter.thresholds))
        return
    limits = load_thresholds(recipe, base)
    for place, rule in enumerate(recipe.rfilter.rules):
        if rule.kind in limits.least and rule.threshold in rule.model_fields_set:
            where = ("rfilter", "rules", place, rule.threshold)
            message = f"{path.name} has thresholds of {rule.kind} too; remove this one, or those"
            document.fault(where, message, shown(getattr(rule, rule.threshold)))


def _check_rule(document: Document, name: str, found: RuleThresholds, asked: dict[str, RuleSpec]) -> None:
    where = ("rules", name)
    if name not in asked:
        if name not in KINDS and ":" not in name:
            document.fault(where, f"no rule is called so; there are {', '.join(KINDS)}", of_key=True)
        return
    if not asked[name].threshold:
        document.fault(where, "this rule has no threshold that could be set", of_key=True)
    own = lasting_settings(asked[name])
    for key, value in found.settings.items():
        if own.get(key) != value:
            message = (
                f"calibrated with this, the recipe has {shown(own.get(key))}; calibrate again, or write the same there"
            )
            document.fault((*where, "settings", key), message, shown(value))


def _check_categories(document: Document, name: str, found: RuleThresholds, taxonomy: Taxonomy) -> None:
    seen: dict[int, str] = {}
    for word in found.least:
        where, category = ("rules", name, "least", word), taxonomy.find(word)
        if word == ALL:
            continue
        if category is None:
            document.fault(where, unknown_category(taxonomy, word), of_key=True)
        elif (first := seen.setdefault(category.id, word)) != word:
            document.fault(where, f"the same class as {first!r}; keep one of the two", of_key=True)


def _by_class(least: dict[str, float], taxonomy: Taxonomy) -> dict[int | None, float]:
    return {None if name == ALL else taxonomy.named(name).id: value for name, value in least.items()}
