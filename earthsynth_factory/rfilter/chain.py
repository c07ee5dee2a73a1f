"""Rules in a row: cheap ones first, and what one rejects the dearer ones need not look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Score, Verdict
from earthsynth_factory.errors import InputError
from earthsynth_factory.rfilter.base import MeasuredRule, Rule, RuleSpec


@dataclass(frozen=True)
class RuleChain:
    """A recipe's rules. rules: (name, rule, weight in the rank), in the order they are asked."""

    rules: Sequence[tuple[str, Rule, float]]

    @classmethod
    def of(
        cls,
        specs: Sequence[RuleSpec],
        context: StageContext,
    ) -> RuleChain:
        """Build every rule, not yet opened. Rules without a model go first; a kind met twice is numbered.

        Raises InputError for a rule that cannot take the limits which the context has for it.
        """
        ordered = sorted(specs, key=lambda spec: spec.cost)
        rules: list[tuple[str, Rule, float]] = []
        for spec in ordered:
            taken = sum(name.split("#")[0] == spec.kind for name, _, _ in rules)
            name = f"{spec.kind}#{taken + 1}" if taken else spec.kind
            rule = spec.build(context)
            if context.limits.get(spec.kind) and not isinstance(rule, MeasuredRule):
                raise InputError(
                    f"rule {spec.kind!r}: derive it from MeasuredRule, so that it can take thresholds from a file"
                )
            rules.append((name, rule, spec.rank))
        return cls(rules)

    def open(self) -> None:
        """Load what the rules need. Raises ModelError."""
        for _, rule, _ in self.rules:
            rule.open()

    def describe(self) -> Mapping[str, Any]:
        """Rule → facts for the run record, once open."""
        return {name: dict(rule.describe()) for name, rule, _ in self.rules}

    def judge(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """A verdict for each candidate. One that a rule rejects is not shown to the later, dearer ones.

        A verdict depends on its candidate alone: rules score each by itself, and the order of the rules is fixed.
        """
        scores: list[dict[str, Score]] = [{} for _ in candidates]
        ranks = [0.0] * len(candidates)
        standing = list(range(len(candidates)))
        for name, rule, weight in self.rules:
            given = rule.score([candidates[place] for place in standing])
            for place, score in zip(standing, given, strict=True):
                scores[place][name] = score
                ranks[place] += weight * score.value
            standing = [place for place, score in zip(standing, given, strict=True) if score.passed]
        return [Verdict(found, rank) for found, rank in zip(scores, ranks, strict=True)]
