"""From stored scores to what is kept: no pixel and no model is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import FactoryError, InputError
from earthsynth_factory.filtering.columns import Known, ScoreColumns
from earthsynth_factory.filtering.labelled_folder import LabelledFolder
from earthsynth_factory.filtering.measuring import Asked
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.models.clip_cache import EmbeddingCache, cache_file
from earthsynth_factory.recipe.load import load_recipe
from earthsynth_factory.recipe.schema import EMBEDDED_THRESHOLDS
from earthsynth_factory.recipe.thresholds import embedded_thresholds
from earthsynth_factory.rfilter.clip_rule import ClipRuleSpec
from earthsynth_factory.rfilter.judge import Judge, is_written
from earthsynth_factory.rfilter.selections.base import Bools, Gathered, Prints
from earthsynth_factory.rfilter.thresholds import Thresholds, calibrate, grouped


def written_limits(spec: FilterSpec, taxonomy: Taxonomy) -> Thresholds:
    """What `per_class` says. Raises InputError if it names no category."""
    least: dict[str, dict[int | None, float]] = {}
    for name, limits in spec.per_class.items():
        found = taxonomy.find(name)
        if found is None:
            near = ", ".join(taxonomy.nearest(name))
            raise InputError(f"per_class: no category is called {name!r}" + (f"; near: {near}" if near else ""))
        for rule, value in limits.items():
            least.setdefault(rule, {})[found.id] = value
    return Thresholds(least)


def of_a_build(folder: LabelledFolder, rules: Sequence[Asked]) -> Thresholds | None:
    """The thresholds that ship, for images that a model made: what real images gave, as `build` is held to by default.

    None for any other folder, a dry run, and a build with a thresholds file of its own.
    """
    if folder.kind != "build":
        return None
    try:
        recipe = load_recipe(BuildLayout(folder.path).recipe).recipe
    except FactoryError:  # it names plug-ins, which are not imported for a look
        return None
    if recipe.is_dry_run() or recipe.rfilter.thresholds not in (None, EMBEDDED_THRESHOLDS):
        return None
    return embedded_thresholds([rule.spec for rule in rules], folder.taxonomy)


def learn(
    spec: FilterSpec, rules: Sequence[Asked], images: Iterable[Known], real: bool, cost: int | None = None
) -> Thresholds:
    """Percentiles of these images; within a run (not `real`) for rules with a model alone, pixels need no comparison.

    What a run tells of itself never loosens a rule: if most of it is noise, its percentiles are noise's.

    cost: learn for rules of this cost alone. The part that each has of the false rejects is the same either way.
    """
    learning = [rule for rule in rules if not is_written(rule.spec) and (real or rule.spec.cost)]
    now = [rule for rule in learning if cost in (None, rule.spec.cost)]
    values = grouped((image.category, _values(image, now)) for image in (images if now else ()) if image.usable)
    found = calibrate(values, spec.false_reject / max(len(learning), 1), spec.least_images)
    return found if real else found.at_least({rule.name: rule.rule.least for rule in now})


def _values(image: Known, rules: Sequence[Asked]) -> dict[str, float]:
    found = {}
    for rule in rules:
        measures = image.measured.get(rule.name)
        if measures and rule.rule.primary in measures:
            found[rule.name] = measures[rule.rule.primary]
    return found


def keeps(judge: Judge, image: Known) -> bool | None:
    """Whether the rules keep an image; None if rules not yet asked decide."""
    return judge.keeps(judge.decide(image.measured, image.category), image.measured)


def reasons_of(judge: Judge, image: Known) -> list[Reason]:
    """Those of every rule that did not pass; the expression if all passed and it refused all the same."""
    found = judge.decide(image.measured, image.category).reasons
    return found or [Reason("keep", "the expression refuses it")]


def select(
    spec: FilterSpec,
    rules: Sequence[Asked],
    scores: ScoreColumns,
    kept: Bools,
    prints: Prints,
    real: Prints | None,
) -> dict[int, Reason]:
    """Place → reason of what the selections drop, asked one after the other."""
    values = {rule.name: scores.column(rule.name, rule.rule.primary) for rule in rules}
    gathered = Gathered(prints, scores.categories, values, real)
    standing, gone = kept.copy(), dict[int, Reason]()
    for selection in spec.select:
        found = {
            place: Reason(selection.kind, why) for place, why in selection.select(gathered, standing.copy()).items()
        }
        gone |= found
        standing[list(found)] = False
    return gone


def prints_of(names: Sequence[str], scores: ScoreColumns, rules: Sequence[Asked], vectors: Path, base: Path) -> Prints:
    """What tells the images apart; vectors from the first CLIP that looked at whole images."""
    clips = [r.spec for r in rules if isinstance(r.spec, ClipRuleSpec) and r.spec.kind == "clip_score"]
    cache = EmbeddingCache(cache_file(vectors, clips[0].model, base)) if clips else None
    stored = _StoredVectors(scores, cache) if cache is not None and len(cache) else None
    return Prints(names, _Digests(scores), scores.hashes, stored)


class _Digests(Sequence[str]):
    """(N,) digests of the images' pixels, as text."""

    def __init__(self, scores: ScoreColumns) -> None:
        self._scores = scores

    def __len__(self) -> int:
        return len(self._scores)

    def __getitem__(self, place: Any) -> Any:
        return self._scores.digest(place).hex()


class _StoredVectors:
    """(N, D) vectors of the images that are read when they are asked for."""

    def __init__(self, scores: ScoreColumns, cache: EmbeddingCache) -> None:
        self._scores, self._cache = scores, cache

    def __getitem__(self, places: Any) -> npt.NDArray[np.float32]:
        wanted = np.atleast_1d(places)
        found = np.full((len(wanted), self._cache.width), np.nan, np.float32)
        digests = [self._scores.digest(place) for place in wanted.tolist()]
        known = [number for number, digest in enumerate(digests) if digest in self._cache]
        if known:
            found[known] = self._cache.vectors(digests[number] for number in known)
        return found if np.ndim(places) else found[0]
