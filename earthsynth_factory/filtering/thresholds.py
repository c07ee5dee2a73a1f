"""From stored scores to what is kept: no pixel and no model is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import InputError
from earthsynth_factory.filtering.scores import ScoreRow
from earthsynth_factory.filtering.scoring import Asked
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.models.clip_cache import EmbeddingCache, cache_file
from earthsynth_factory.rfilter.base import Measures
from earthsynth_factory.rfilter.clip_rule import ClipRuleSpec
from earthsynth_factory.rfilter.judge import Judge, is_written
from earthsynth_factory.rfilter.selections.base import Gathered, Prints
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


def learn(
    spec: FilterSpec, rules: Sequence[Asked], rows: Sequence[ScoreRow], real: bool, cost: int | None = None
) -> Thresholds:
    """Percentiles of these rows; within a run (not `real`) for rules with a model alone, pixels need no comparison.

    What a run tells of itself never loosens a rule: if most of it is noise, its percentiles are noise's.

    cost: learn for rules of this cost alone. The part that each has of the false rejects is the same either way.
    """
    learning = [rule for rule in rules if not is_written(rule.spec) and (real or rule.spec.cost)]
    now = [rule for rule in learning if cost in (None, rule.spec.cost)]
    values = grouped((row.category, _values(row, now)) for row in rows if not row.fault)
    found = calibrate(values, spec.false_reject / max(len(learning), 1), spec.least_images)
    return found if real else found.at_least({rule.name: rule.rule.least for rule in now})


def _values(row: ScoreRow, rules: Sequence[Asked]) -> dict[str, float]:
    measures = _measures(row, rules)
    asked = [rule for rule in rules if rule.rule.primary in measures.get(rule.name, {})]
    return {rule.name: measures[rule.name][rule.rule.primary] for rule in asked}


def decide(judge: Judge, row: ScoreRow) -> tuple[bool | None, list[Reason]]:
    """Kept, not kept, or None if rules not yet asked decide; and why not, as far as it is known."""
    measures = _measures(row, judge.rules)
    verdict = judge.decide(measures, row.category)
    return judge.keeps(verdict, measures), verdict.reasons or [Reason("keep", "the expression refuses it")]


def _measures(row: ScoreRow, rules: Sequence[Asked]) -> dict[str, Measures]:
    """Rule → numbers, of the rules that were asked."""
    found = ((rule.name, row.measures(rule.name, rule.settings)) for rule in rules)
    return {name: measures for name, measures in found if measures is not None}


def select(
    spec: FilterSpec,
    rules: Sequence[Asked],
    rows: Sequence[ScoreRow],
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


def prints_of(rows: Sequence[ScoreRow], rules: Sequence[Asked], vectors: Path, base: Path) -> Prints:
    """What tells the rows apart; vectors from the first CLIP that looked at whole images."""
    clips = [r.spec for r in rules if isinstance(r.spec, ClipRuleSpec) and r.spec.kind == "clip_score"]
    cache = EmbeddingCache(cache_file(vectors, clips[0].model, base)) if clips else None
    return Prints(
        [row.name for row in rows],
        [row.digest for row in rows],
        np.array([int(row.phash or "0", 16) for row in rows], np.uint64),
        _vectors(rows, cache) if cache is not None and len(cache) else None,
    )


def _vectors(rows: Sequence[ScoreRow], cache: EmbeddingCache) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    found = np.full((len(rows), cache.width), np.nan, np.float32)
    for place, row in enumerate(rows):
        if row.digest and bytes.fromhex(row.digest) in cache:
            found[place] = cache.vectors([bytes.fromhex(row.digest)])[0]
    return found
