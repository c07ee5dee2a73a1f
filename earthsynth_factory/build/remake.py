"""One image of a build made again from its seeds: the condition and the image of a slot's attempt, kept or not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.run_record import identity_of
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import InputError, SourceError, StoreError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_mask, encode_png
from earthsynth_factory.labels.from_condition import map_labels
from earthsynth_factory.recipe.fingerprint import fingerprint
from earthsynth_factory.recipe.schema import Recipe
from earthsynth_factory.rfilter.base import RuleSpec


@dataclass(frozen=True)
class Remade:
    """The files that were written."""

    image: Path
    mask: Path
    instances: Path


def remake(folder: Path, slot: int, attempt: int | None, base: Path, device: str, out: Path) -> Remade:
    """Make the slot's attempt again; without a number, the kept one. base: where the recipe's relative paths start.

    Raises StoreError if the folder is no build, its models or masks are others now, or there is no such attempt;
    NoCondition if the attempt's condition could not be drawn; ModelError, DiskError.
    """
    store = BuildReader(folder)
    recipe = recorded_recipe(store)
    if not 0 <= slot < recipe.images:
        there = f"there are {recipe.images}, 0–{recipe.images - 1}"
        raise InputError(f"slot {slot}: {there}; give the number of an image, as its file is called")
    pipeline = pipeline_of(store, recipe, base, device)
    number = _kept(store, slot) if attempt is None else attempt
    if not 0 <= number < recipe.rfilter.max_attempts:
        raise InputError(f"--attempt {number}: the recipe has the attempts 0–{recipe.rfilter.max_attempts - 1}")
    return _made(pipeline, Plan.of(recipe, store.run.earlier), slot, number, out)


def pipeline_of(store: BuildReader, recipe: Recipe, base: Path, device: str) -> Pipeline:
    """The pipeline that made the build, not opened. Raises StoreError if its models or mask sources are others now."""
    try:
        pipeline = Pipeline.of(recipe, base, device)
        found = fingerprint(recipe, identity_of(recipe, pipeline, base))
    except SourceError as error:
        raise SourceError(
            f"{error}. A build does not say where its recipe lay: give that folder with --base"
        ) from error
    if found != store.run.fingerprint:
        raise StoreError(
            f"{store.root}: its models or mask sources are others now than when it was made (fingerprint "
            f"{store.version}); give the folder of its recipe with --base"
        )
    return pipeline


def recorded_recipe(store: BuildReader) -> Recipe:
    """The recipe as it was given. A plug-in that it names is imported only if that is allowed."""
    try:
        recipe = Recipe.model_validate(store.run.recipe)
        rules = tuple(_as_given(rule, store.run.learnt) for rule in recipe.rfilter.rules)
    except ValidationError as error:
        raise StoreError(f"{store.layout.run}: holds no recipe of this version ({error})") from error
    return recipe.model_copy(update={"rfilter": recipe.rfilter.model_copy(update={"rules": rules})})


def _as_given(rule: RuleSpec, learnt: Collection[str]) -> RuleSpec:
    """The rule without a threshold of its own if one was learnt: a record has every key, also those that were left out."""
    return type(rule).model_validate(rule.model_dump(exclude={rule.threshold})) if rule.kind in learnt else rule


def _kept(store: BuildReader, slot: int) -> int:
    for record in store.samples():
        if record.slot == slot:
            return record.attempt
    raise StoreError(f"{store.root}: slot {slot} has no kept image; name one of its attempts with --attempt")


def _made(pipeline: Pipeline, plan: Plan, index: int, attempt: int, out: Path) -> Remade:
    slot = plan.slot(index)
    condition = pipeline.draw(slot, attempt // pipeline.recipe.rfilter.candidates)
    pipeline.generator.open()
    [candidate] = pipeline.synthesise([slot], [attempt], [condition])
    labels = map_labels(condition, pipeline.recipe.labels, pipeline.taxonomy)
    stem = f"{slot.stem}_{attempt:03d}"
    made = Remade(out / f"{stem}.png", out / f"{stem}_mask.png", out / f"{stem}_instances.png")
    write_bytes(made.image, encode_png(candidate.image, source=pipeline.recipe.synthesis.digital_source))
    write_bytes(made.mask, encode_mask(condition.mask, pipeline.taxonomy))
    write_bytes(made.instances, encode_png(labels.instance_map))
    return made
