"""Does the image show what its prompt says? CLIP similarity with the prompt against the prompts of other classes.

A softmax over one image's own labels says nothing where there is one label, so the prompt competes with hard negatives:
`A satellite image of <class>` for every class of the recipe that is not in the image. Ours; EarthSynth publishes no rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from earthsynth_factory.domain.sample import Candidate, Score
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.models.clip_files import ClipName, clip_identity
from earthsynth_factory.rfilter.base import Rule, RuleSpec
from earthsynth_factory.rfilter.wording import BACKGROUNDS, caption

if TYPE_CHECKING:
    from earthsynth_factory.models.clip import ClipModel


class ClipScoreSpec(RuleSpec):
    """The image must look more like the classes in it than like the others."""

    cost: ClassVar[int] = 1
    kind: Literal["clip_score"]
    model: ClipName = "embedded"
    """`embedded`, a folder, or {name, pretrained} of open_clip."""
    min_margin: float = Field(default=-0.1, ge=-2, le=2)
    """Least margin: cosine with the best of the image's own classes, minus cosine with the best of the others."""

    def identity(self, base: Path) -> Mapping[str, str]:
        return clip_identity(self.model, base)

    def build(self, taxonomy: Taxonomy, targets: Sequence[int], base: Path, device: str) -> ClipScore:
        return ClipScore(self, taxonomy, targets, base, device)


class ClipScore(Rule):
    """See `ClipScoreSpec`. The value is the margin, in −2 … 2."""

    def __init__(
        self, spec: ClipScoreSpec, taxonomy: Taxonomy, targets: Sequence[int], base: Path, device: str
    ) -> None:
        self._spec = spec
        self._words = {class_id: taxonomy[class_id].words for class_id in targets}
        self._taxonomy = taxonomy
        self._base, self._device = base, device

    def open(self) -> None:
        from earthsynth_factory.models.clip import load_clip

        self._clip: ClipModel = load_clip(self._spec.model, self._base, self._device)

    def describe(self) -> Mapping[str, Any]:
        from earthsynth_factory.models.clip import facts

        return facts(self._spec.model, self._base)

    def score(self, candidates: Sequence[Candidate]) -> list[Score]:
        vectors = self._clip.images([candidate.image for candidate in candidates])
        return [self._score(candidate, vector) for candidate, vector in zip(candidates, vectors, strict=True)]

    def _score(self, candidate: Candidate, vector: Any) -> Score:
        present = candidate.condition.classes()
        own = [caption(self._taxonomy[class_id].words) for class_id in present] or [caption(BACKGROUNDS[0])]
        others = [caption(words) for class_id, words in self._words.items() if class_id not in present]
        others = others or [caption(words) for words in BACKGROUNDS[1:]]
        mine, rival = (self._clip.texts(texts) @ vector for texts in (own, others))
        margin = float(mine.max() - rival.max())
        rival_text = others[int(rival.argmax())]
        reason = f"looks more like {rival_text!r} (margin {margin:+.3f}, least {self._spec.min_margin:+g})"
        passed = margin >= self._spec.min_margin
        return Score(margin, passed, "" if passed else reason)
