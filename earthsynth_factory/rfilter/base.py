"""The contract of a rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

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
    """The recipe block of a rule. Subclasses add `kind: Literal[...]`, thresholds, and `build`.

    base: the folder that relative paths of the recipe start from. targets: class ids of the recipe's categories.
    """

    cost: ClassVar[int] = 0
    """Rules are asked in ascending order of this: 0 pixels alone, 1 a model on the image, 2 a model on every object."""

    kind: str
    rank: float = Field(default=0.0, ge=0)
    """Weight of this rule's value when the best of several candidates is chosen."""

    def identity(self, base: Path) -> Mapping[str, str]:  # noqa: ARG002  # for rules that have files
        """Weight file → sha256: what decides the scores, for the fingerprint. Raises ModelError where files lack."""
        return {}

    @abstractmethod
    def build(self, taxonomy: Taxonomy, targets: Sequence[int], base: Path, device: str) -> Rule:
        """The rule, not yet opened."""
