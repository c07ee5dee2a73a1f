"""The contract of a rule, and how rules combine to a verdict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from earthsynth_factory.domain.sample import Candidate, Score
from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.domain.taxonomy import Taxonomy

KINDS = {
    "clip_score": "earthsynth_factory.rfilter.clip_score:ClipScoreSpec",
    "instance_class": "earthsynth_factory.rfilter.instance_class:InstanceClassSpec",
    "image_quality": "earthsynth_factory.rfilter.image_quality:ImageQualitySpec",
}
"""Rules that ship: kind → spec class. A new one is a file and a line here."""


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


class RuleSpec(Spec, ABC):
    """The recipe block of a rule. Subclasses add `kind: Literal[...]`, thresholds, and `build`."""

    rank: float = Field(default=0.0, ge=0)
    """Weight of this rule's value when the best of several candidates is chosen."""

    @abstractmethod
    def build(self, taxonomy: Taxonomy, targets: Sequence[int], device: str) -> Rule:
        """The rule, not yet opened. targets: class ids of the recipe's categories."""
