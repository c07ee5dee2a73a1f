"""The judge: rules, their thresholds, and how they are combined; of images just made, and of numbers stored long ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Score, Verdict
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.rfilter.base import MeasuredRule, Measures, Rule, RuleSpec
from earthsynth_factory.rfilter.expression import Expression
from earthsynth_factory.rfilter.thresholds import NO_THRESHOLDS, Thresholds

AnyRule = TypeVar("AnyRule", bound=Rule, covariant=True)


@dataclass(frozen=True)
class AskedRule(Generic[AnyRule]):
    """name: the kind, numbered if it stands twice. settings: changes when numbers stored of the rule would; may be empty."""

    name: str
    spec: RuleSpec
    rule: AnyRule
    settings: str = ""


@dataclass(frozen=True)
class Limits:
    """Where a threshold comes from, the first that has one: `given`, by the user or by a file that he names; the rule's
    block, if it was written there; `learnt`, percentiles of images; the rule's default.
    """

    given: Thresholds = NO_THRESHOLDS
    learnt: Thresholds = NO_THRESHOLDS

    def least(self, asked: AskedRule[MeasuredRule], category: int | None) -> float:
        """The least value of the rule's primary measure for a class; None stands for negatives."""
        kind, own = asked.spec.kind, asked.rule.least
        given = self.given.of(kind, category)
        if given is not None:
            return given
        learnt = None if is_written(asked.spec) else self.learnt.of(kind, category)
        if learnt is None:
            return own
        # Few real images tell a model's scale, but say little of how bad pixels look: there they only loosen.
        return learnt if asked.spec.cost else min(learnt, own)


NO_LIMITS = Limits()
"""Every rule keeps its own."""


def is_written(spec: RuleSpec) -> bool:
    """Whether the threshold stands in the rule's block."""
    return spec.threshold in spec.model_fields_set


def build_rules(specs: Iterable[RuleSpec], context: StageContext) -> list[AskedRule[Rule]]:
    """Rules, not yet opened: those without a model first; a kind met twice is numbered."""
    rules: list[AskedRule[Rule]] = []
    for spec in sorted(specs, key=lambda spec: spec.cost):
        before = sum(asked.spec.kind == spec.kind for asked in rules)
        name = f"{spec.kind}#{before + 1}" if before else spec.kind
        rules.append(AskedRule(name, spec, spec.build(context)))
    return rules


@dataclass(frozen=True)
class Judge:
    """rules: in the order in which they are asked. keep: combines them; without it each must pass."""

    rules: Sequence[AskedRule[Any]]
    limits: Limits = NO_LIMITS
    keep: Expression | None = None

    @classmethod
    def of(cls, specs: Iterable[RuleSpec], context: StageContext, limits: Limits = NO_LIMITS) -> Judge:
        """A judge that asks every rule. Raises InputError for a rule that cannot take the limits given for it."""
        rules = build_rules(specs, context)
        for asked in rules:
            if limits.given.least.get(asked.spec.kind) and not isinstance(asked.rule, MeasuredRule):
                raise InputError(
                    f"rule {asked.spec.kind!r}: derive it from MeasuredRule, so that it can take thresholds from a file"
                )
        return cls(rules, limits)

    def open(self) -> None:
        """Load what the rules need. Raises ModelError."""
        for asked in self.rules:
            asked.rule.open()

    def describe(self) -> Mapping[str, Any]:
        """Rule → facts for the run record, once open."""
        return {asked.name: dict(asked.rule.describe()) for asked in self.rules}

    def judge(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """A verdict for each candidate. One that a rule rejects is not shown to the later, more expensive ones.

        A verdict depends on its candidate alone: rules score each by itself, and the order of the rules is fixed.
        """
        scores: list[dict[str, Score]] = [{} for _ in candidates]
        standing = list(range(len(candidates)))
        for asked in self.rules:
            given = self._look(asked, [candidates[place] for place in standing])
            for place, score in zip(standing, given, strict=True):
                scores[place][asked.name] = score
            standing = [place for place, score in zip(standing, given, strict=True) if score.passed]
        return [self._verdict(found) for found in scores]

    def decide(self, measures: Mapping[str, Measures], category: int | None) -> Verdict:
        """The verdict of stored numbers: rule → measures, of those that were asked. No pixel is looked at."""
        rules = [asked for asked in self.rules if asked.name in measures]
        return self._verdict({asked.name: self.score(asked, measures[asked.name], category) for asked in rules})

    def score(self, asked: AskedRule[MeasuredRule], measures: Measures, category: int | None) -> Score:
        """What a rule says of numbers, held to the threshold of the class. Raises StoreError if stored ones lack one."""
        try:
            return asked.rule.decide(measures, category, self.limits.least(asked, category))
        except KeyError as error:
            raise StoreError(
                f"stored scores lack {error} of {asked.name}, which is always measured; choose another --out"
            ) from error

    def keeps(self, verdict: Verdict, measures: Mapping[str, Measures]) -> bool | None:
        """Whether the image stays; None if rules that were not asked yet decide. measures: of those that were."""
        if self.keep is None:
            return verdict.kept
        known = {asked.name: measures.get(asked.name, {}) for asked in self.rules}
        return self.keep(verdict.scores, known)

    def _look(self, asked: AskedRule[Rule], candidates: Sequence[Candidate]) -> Sequence[Score]:
        if not isinstance(asked.rule, MeasuredRule):
            return asked.rule.score(candidates)
        measured = AskedRule(asked.name, asked.spec, asked.rule)
        found = asked.rule.measure(candidates)
        return [
            self.score(measured, numbers, one.slot.category) for numbers, one in zip(found, candidates, strict=True)
        ]

    def _verdict(self, scores: Mapping[str, Score]) -> Verdict:
        rank = 0.0
        for asked in self.rules:
            rank += asked.spec.rank * scores[asked.name].value if asked.name in scores else 0.0
        return Verdict(scores, rank)
