"""From stored scores to what is kept: no pixel and no model is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.domain.sample import Score
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.filtering.columns import Known, Scores
from earthsynth_factory.filtering.scoring import AskedRule
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.models.clip_cache import EmbeddingCache, cache_file
from earthsynth_factory.rfilter.clip_rule import ClipRuleSpec
from earthsynth_factory.rfilter.selections.base import Bools, Gathered, Prints
from earthsynth_factory.rfilter.thresholds import Thresholds, calibrate, grouped


@dataclass(frozen=True)
class Limits:
    """Where each threshold comes from. data: percentiles. own: category → rule → value, as the user wrote them."""

    data: Thresholds
    own: Mapping[int, Mapping[str, float]]

    @classmethod
    def of(cls, spec: FilterSpec, taxonomy: Taxonomy, data: Thresholds) -> Limits:
        """Raises InputError where `per_class` names no category."""
        own = {}
        for name, limits in spec.per_class.items():
            found = taxonomy.find(name)
            if found is None:
                near = ", ".join(taxonomy.nearest(name))
                raise InputError(f"per_class: no category is called {name!r}" + (f"; near: {near}" if near else ""))
            own[found.id] = limits
        return cls(data, own)

    def least(self, rule: AskedRule, category: int | None) -> float:
        """The least value of the rule's primary measure for this class."""
        written = self.own.get(category, {}).get(rule.name) if category is not None else None
        if written is not None:
            return written
        found = None if fixed(rule) else self.data.of(rule.name, category)
        if found is None:
            return rule.rule.least
        # Few real images tell a model's scale, but say little of how bad pixels look: there they only loosen.
        return found if rule.spec.cost else min(found, rule.rule.least)

    def score(self, rule: AskedRule, image: Known) -> Score | None:
        """The rule's score of an image; None where it was not asked. Raises StoreError where stored numbers lack one."""
        measures = image.measured.get(rule.name)
        if measures is None:
            return None
        try:
            return rule.rule.decide(measures, image.category, self.least(rule, image.category))
        except KeyError as error:
            raise StoreError(
                f"scores.jsonl: lacks {error} of {rule.name}, which is always measured; choose another --out"
            ) from error


def fixed(rule: AskedRule) -> bool:
    """Whether the user wrote the rule's threshold down."""
    return rule.spec.threshold in rule.spec.model_fields_set


def learn(
    spec: FilterSpec, rules: Sequence[AskedRule], images: Iterable[Known], real: bool, cost: int | None = None
) -> Thresholds:
    """Percentiles of these images; within a run (not `real`) for rules with a model alone, pixels need no comparison.

    What a run tells of itself never loosens a rule: if most of it is noise, its percentiles are noise's.

    cost: learn for rules of this cost alone. The part that each has of the false rejects is the same either way.
    """
    learning = [rule for rule in rules if not fixed(rule) and (real or rule.spec.cost)]
    now = [rule for rule in learning if cost in (None, rule.spec.cost)]
    values = grouped((image.category, _values(image, now)) for image in (images if now else ()) if image.usable)
    found = calibrate(values, spec.false_reject / max(len(learning), 1), spec.least_images)
    return found if real else found.at_least({rule.name: rule.rule.least for rule in now})


def _values(image: Known, rules: Sequence[AskedRule]) -> dict[str, float]:
    found = {}
    for rule in rules:
        measures = image.measured.get(rule.name)
        if measures and rule.rule.primary in measures:
            found[rule.name] = measures[rule.rule.primary]
    return found


def verdict(
    spec: FilterSpec, rules: Sequence[AskedRule], limits: Limits, image: Known
) -> tuple[bool | None, dict[str, Score]]:
    """Kept, not kept, or None where rules not yet asked decide; and the scores there are."""
    found = {rule.name: score for rule in rules if (score := limits.score(rule, image)) is not None}
    measures = {rule.name: image.measured.get(rule.name, {}) for rule in rules}
    return spec.expression()(found, measures), found


def reasons(scores: Mapping[str, Score]) -> list[Reason]:
    """Those of every rule that did not pass; the expression if all passed and it refused all the same."""
    failed = [Reason(name, score.reason) for name, score in scores.items() if not score.passed]
    return failed or [Reason("keep", "the expression refuses it")]


def select(
    spec: FilterSpec,
    rules: Sequence[AskedRule],
    scores: Scores,
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


def prints_of(names: Sequence[str], scores: Scores, rules: Sequence[AskedRule], vectors: Path, base: Path) -> Prints:
    """What tells the images apart; vectors from the first CLIP that looked at whole images."""
    clips = [r.spec for r in rules if isinstance(r.spec, ClipRuleSpec) and r.spec.kind == "clip_score"]
    cache = EmbeddingCache(cache_file(vectors, clips[0].model, base)) if clips else None
    stored = _StoredVectors(scores, cache) if cache is not None and len(cache) else None
    return Prints(names, _Digests(scores), scores.hashes, stored)


class _Digests(Sequence[str]):
    """(N,) digests of the images' pixels, as text."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores

    def __len__(self) -> int:
        return len(self._scores)

    def __getitem__(self, place: Any) -> Any:
        return self._scores.digest(place).hex()


class _StoredVectors:
    """(N, D) vectors of the images that are read when they are asked for."""

    def __init__(self, scores: Scores, cache: EmbeddingCache) -> None:
        self._scores, self._cache = scores, cache

    def __getitem__(self, places: Any) -> npt.NDArray[np.float32]:
        wanted = np.atleast_1d(places)
        found = np.full((len(wanted), self._cache.width), np.nan, np.float32)
        digests = [self._scores.digest(place) for place in wanted.tolist()]
        known = [number for number, digest in enumerate(digests) if digest in self._cache]
        if known:
            found[known] = self._cache.vectors(digests[number] for number in known)
        return found if np.ndim(places) else found[0]
