"""The contract of a rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Score
from earthsynth_factory.domain.spec import Field, Spec

KINDS = {
    "clip_score": "earthsynth_factory.rfilter.clip_score:ClipScoreSpec",
    "instance_class": "earthsynth_factory.rfilter.instance_class:InstanceClassSpec",
    "image_quality": "earthsynth_factory.rfilter.image_quality:ImageQualitySpec",
    "artefacts": "earthsynth_factory.rfilter.artefacts:ArtefactsSpec",
    "object_size": "earthsynth_factory.rfilter.object_size:ObjectSizeSpec",
    "region_contrast": "earthsynth_factory.rfilter.region_contrast:RegionContrastSpec",
    "layout_agreement": "earthsynth_factory.rfilter.layout_agreement:LayoutAgreementSpec",
    "changed": "earthsynth_factory.rfilter.changed:ChangedSpec",
    "kept": "earthsynth_factory.rfilter.kept:KeptSpec",
    "outside": "earthsynth_factory.rfilter.outside:OutsideSpec",
}
"""Rules that ship: kind → spec class. A new one is a file and a line here."""

DEFAULT_RULES = ("image_quality", "artefacts", "object_size", "clip_score", "instance_class", "layout_agreement")
"""What a recipe and a filter ask if they name no rules: those that told planted wrong pairs from right ones with the
embedded models. The others may, with stronger ones.
"""

Measures = Mapping[str, float]
"""Name → number: all that a verdict of one rule needs to know of one image. Empty if the rule does not apply."""


class Rule(ABC):
    """One rule. A candidate's score depends on the candidate alone, never on its batch-mates or their order."""

    @abstractmethod
    def open(self) -> None:
        """Load what the rule needs. Raises ModelError naming what is missing and the remedy."""

    @abstractmethod
    def score(self, candidates: Sequence[Candidate]) -> list[Score]:
        """A score for each candidate; the reason of one that fails is a short sentence a person understands."""

    def describe(self) -> Mapping[str, Any]:
        """For the run record, after `open`: model names and weight hashes. Plain JSON."""
        return {}


class MeasuredRule(Rule):
    """A rule in two steps: `measure` looks at pixels, `decide` at the numbers alone, so that a threshold may change
    without a second look. A `decide` needs no `open`.
    """

    primary: ClassVar[str]
    """The measure that is held to the threshold, and the value of the score; higher is better."""

    def __init__(self, spec: RuleSpec, context: StageContext) -> None:
        self._spec, self._taxonomy = spec, context.taxonomy

    @property
    def least(self) -> float:
        """The threshold that the recipe gives."""
        return float(getattr(self._spec, self._spec.threshold))

    @abstractmethod
    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        """The numbers of each candidate; empty if the rule does not apply to it."""

    def faults(self, measures: Measures, category: int | None, least: float) -> list[str]:
        """What is wrong, in short sentences; `least` takes the place of the recipe's threshold."""
        return [] if measures[self.primary] >= least else [self.complaint(measures, category, least)]

    def complaint(self, measures: Measures, _category: int | None, least: float) -> str:
        """What it means that the primary measure falls short, in a short sentence."""
        return f"{self.primary} {measures[self.primary]:.3g}, least {least:.3g}"

    def decide(self, measures: Measures, category: int | None, least: float | None = None) -> Score:
        """The score of stored numbers; 1 and passed if the rule does not apply. least: in place of the recipe's threshold."""
        if self.primary not in measures:
            return Score(1.0, True)
        faults = self.faults(measures, category, self.least if least is None else least)
        return Score(measures[self.primary], not faults, ", ".join(faults))

    def score(self, candidates: Sequence[Candidate]) -> list[Score]:
        return [
            self.decide(measures, candidate.slot.category)
            for candidate, measures in zip(candidates, self.measure(candidates), strict=True)
        ]


class PixelRule(MeasuredRule):
    """A rule without a model, which looks at one candidate after the other."""

    def open(self) -> None:
        """Nothing to load."""

    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        return [self.look(candidate) for candidate in candidates]

    @abstractmethod
    def look(self, candidate: Candidate) -> Measures:
        """The numbers of one candidate; empty if the rule does not apply to it."""


class RuleSpec(Spec, ABC):
    """The recipe block of a rule. Subclasses add `kind: Literal[...]`, thresholds, and `build`."""

    cost: ClassVar[int] = 0
    """Rules are asked in ascending order of this: 0 pixels alone, 1 a model on the image, 2 a model on every object,
    3 a model on every place."""

    deciding: ClassVar[frozenset[str]] = frozenset()
    """Fields that `decide` alone reads: measures stay good when they change."""

    threshold: ClassVar[str] = ""
    """The field that holds the least value of the primary measure; calibration sets it unless the user did."""

    kind: str
    rank: float = Field(default=0.0, ge=0)
    """Weight of this rule's value when the best of several candidates is chosen."""

    def identity(self, _base: Path) -> Mapping[str, str]:
        """Weight file → sha256: what decides the scores, for the fingerprint. Raises ModelError if files are missing."""
        return {}

    @abstractmethod
    def build(self, context: StageContext) -> Rule:
        """The rule, not yet opened."""
