"""From stored scores to what is kept: no pixel and no model is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.domain.sample import Score
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import InputError
from earthsynth_factory.filtering.scores import Row
from earthsynth_factory.filtering.scoring import AskedRule
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.models.clip_cache import EmbeddingCache, cache_file
from earthsynth_factory.rfilter.clip_rule import ClipRuleSpec
from earthsynth_factory.rfilter.selections.base import Gathered, Prints
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

    def score(self, rule: AskedRule, row: Row) -> Score | None:
        """The rule's score of a row; None where it was not asked."""
        measures = row.measures(rule.name, rule.settings)
        if measures is None:
            return None
        return rule.rule.decide(measures, row.category, self.least(rule, row.category))


def fixed(rule: AskedRule) -> bool:
    """Whether the user wrote the rule's threshold down."""
    return rule.spec.threshold in rule.spec.model_fields_set


def learn(
    spec: FilterSpec, rules: Sequence[AskedRule], rows: Sequence[Row], real: bool, cost: int | None = None
) -> Thresholds:
    """Percentiles of these rows; within a run (not `real`) for rules with a model alone, pixels need no comparison.

    What a run tells of itself never loosens a rule: if most of it is noise, its percentiles are noise's.

    cost: learn for rules of this cost alone. The part that each has of the false rejects is the same either way.
    """
    learning = [rule for rule in rules if not fixed(rule) and (real or rule.spec.cost)]
    now = [rule for rule in learning if cost in (None, rule.spec.cost)]
    values = grouped((row.category, _values(row, now)) for row in rows if not row.fault)
    found = calibrate(values, spec.false_reject / max(len(learning), 1), spec.least_images)
    return found if real else found.at_least({rule.name: rule.rule.least for rule in now})


def _values(row: Row, rules: Sequence[AskedRule]) -> dict[str, float]:
    found = {}
    for rule in rules:
        measures = row.measures(rule.name, rule.settings)
        if measures and rule.rule.primary in measures:
            found[rule.name] = measures[rule.rule.primary]
    return found


def verdict(
    spec: FilterSpec, rules: Sequence[AskedRule], limits: Limits, row: Row
) -> tuple[bool | None, dict[str, Score]]:
    """Kept, not kept, or None where rules not yet asked decide; and the scores there are."""
    found = {rule.name: score for rule in rules if (score := limits.score(rule, row)) is not None}
    measures = {rule.name: row.measures(rule.name, rule.settings) or {} for rule in rules}
    return spec.expression()(found, measures), found


def reasons(scores: Mapping[str, Score]) -> list[Reason]:
    """Those of every rule that did not pass; the expression if all passed and it refused all the same."""
    failed = [Reason(name, score.reason) for name, score in scores.items() if not score.passed]
    return failed or [Reason("keep", "the expression refuses it")]


def select(
    spec: FilterSpec,
    rules: Sequence[AskedRule],
    rows: Sequence[Row],
    kept: Sequence[bool],
    prints: Prints,
    real: Prints | None,
) -> dict[int, Reason]:
    """Place → reason of what the selections drop, asked one after the other."""
    values = {
        rule.name: np.array([_values(row, [rule]).get(rule.name, np.nan) for row in rows], np.float64) for rule in rules
    }
    gathered = Gathered(prints, [row.category for row in rows], values, real)
    standing, gone = np.array(kept, bool), dict[int, Reason]()
    for selection in spec.select:
        found = {
            place: Reason(selection.kind, why) for place, why in selection.select(gathered, standing.copy()).items()
        }
        gone |= found
        standing[list(found)] = False
    return gone


def prints_of(rows: Sequence[Row], rules: Sequence[AskedRule], vectors: Path, base: Path) -> Prints:
    """What tells the rows apart; vectors from the first CLIP that looked at whole images."""
    clips = [r.spec for r in rules if isinstance(r.spec, ClipRuleSpec) and r.spec.kind == "clip_score"]
    cache = EmbeddingCache(cache_file(vectors, clips[0].model, base)) if clips else None
    return Prints(
        [row.name for row in rows],
        [row.digest for row in rows],
        np.array([int(row.phash or "0", 16) for row in rows], np.uint64),
        _vectors(rows, cache) if cache is not None and len(cache) else None,
    )


def _vectors(rows: Sequence[Row], cache: EmbeddingCache) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    found = np.full((len(rows), cache.width), np.nan, np.float32)
    for place, row in enumerate(rows):
        if row.digest and bytes.fromhex(row.digest) in cache:
            found[place] = cache.vectors([bytes.fromhex(row.digest)])[0]
    return found
