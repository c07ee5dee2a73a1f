"""What rules that look with CLIP have in common: the model's name, its identity, and when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.models.clip_files import ClipName, clip_identity
from earthsynth_factory.rfilter.base import MeasuredRule, RuleSpec
from earthsynth_factory.rfilter.subjects import BACKGROUNDS, caption

if TYPE_CHECKING:
    from earthsynth_factory.models.clip import ClipModel


class ClipRuleSpec(RuleSpec):
    """The block of a rule that looks with CLIP."""

    model: ClipName = "embedded"
    """`embedded`, a folder, or {name, pretrained} of open_clip."""

    @property
    def looks_with_clip(self) -> bool:
        """Whether this block, as it is set, needs the model."""
        return True

    def identity(self, base: Path) -> Mapping[str, str]:
        return clip_identity(self.model, base)


class ClipRule(MeasuredRule):
    """A rule that looks with CLIP."""

    _spec: ClipRuleSpec

    def __init__(self, spec: ClipRuleSpec, context: StageContext) -> None:
        super().__init__(spec, context)
        self._targets, self._base, self._device = tuple(context.targets), context.base, context.device

    def open(self) -> None:
        from earthsynth_factory.models.clip import load_clip

        self._clip: ClipModel = load_clip(self._spec.model, self._base, self._device)

    def describe(self) -> Mapping[str, Any]:
        from earthsynth_factory.models.clip import clip_facts

        return clip_facts(self._spec.model, self._base)

    def _caption(self, category: int) -> str:
        return caption(self._taxonomy[category].words)

    def _backgrounds(self, present: Sequence[int]) -> list[str]:
        """Captions of what the image does not claim to show."""
        words = {self._taxonomy[class_id].words for class_id in present}
        return [caption(text) for text in BACKGROUNDS if text not in words]
