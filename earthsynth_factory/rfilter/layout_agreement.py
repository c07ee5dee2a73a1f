"""Does the image follow its mask? What is seen at each place against what the mask says there.

A segmenter looks: mean intersection over union of its prediction and the mask, over the classes that it knows; an image
with none of them is left alone. If `segmenter: null` is written CLIP looks at a grid of windows and names each by the best
of the image's own classes and some background; the value is the accuracy against the class that fills most of the window,
averaged over classes. That tells next to nothing with the embedded CLIP. Ours; EarthSynth publishes no rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from earthsynth_factory.domain.condition import Mask
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.rfilter.base import Measures
from earthsynth_factory.rfilter.clip_rule import ClipRule, ClipRuleSpec
from earthsynth_factory.rfilter.segmenter_rule import load_segmenter, segmenter_identity


class LayoutAgreementSpec(ClipRuleSpec):
    """What is seen must lie where the mask has it."""

    cost: ClassVar[int] = 3
    threshold: ClassVar[str] = "min_agreement"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_agreement"})
    kind: Literal["layout_agreement"]
    segmenter: str | None = "embedded"
    """`embedded`, the folder of a trained segmenter (segmenter.json, segmenter.safetensors), or null: CLIP looks at
    windows."""
    grid: int = Field(default=4, ge=2, le=16)
    """Windows along a side."""
    min_agreement: float = Field(default=0.2, ge=0, le=1)
    """Least agreement: mean IoU with a segmenter, class-averaged accuracy of windows with CLIP."""

    @property
    def looks_with_clip(self) -> bool:
        return self.segmenter is None

    def identity(self, base: Path) -> Mapping[str, str]:
        if self.segmenter is None:
            return super().identity(base)
        return segmenter_identity(self.segmenter, base, self.kind)

    def build(self, context: StageContext) -> LayoutAgreement:
        return LayoutAgreement(self, context)


class LayoutAgreement(ClipRule):
    """See `LayoutAgreementSpec`. It does not apply to an image without any class."""

    _spec: LayoutAgreementSpec
    primary: ClassVar[str] = "agreement"

    def open(self) -> None:
        if self._spec.segmenter is None:
            super().open()
            return
        self._segmenter = load_segmenter(self._spec.segmenter, self._base, self._device)

    def describe(self) -> Mapping[str, Any]:
        return super().describe() if self._spec.segmenter is None else {"segmenter": self._spec.segmenter}

    def measure(self, candidates: Sequence[Candidate]) -> list[Measures]:
        if self._spec.segmenter is not None:
            return self._by_segmenter(candidates)
        grids = [windows(candidate.image, self._spec.grid) for candidate in candidates]
        vectors = self._clip.images([window for grid in grids for window in grid])
        count = self._spec.grid**2
        return [
            self._by_windows(candidate, vectors[at * count : (at + 1) * count])
            for at, candidate in enumerate(candidates)
        ]

    def _by_segmenter(self, candidates: Sequence[Candidate]) -> list[Measures]:
        """Images of one shape are looked at together; those of no class that the segmenter knows are not."""
        found: list[Measures] = [{} for _ in candidates]
        shapes = defaultdict(list)
        for place, candidate in enumerate(candidates):
            if self._known(candidate):
                shapes[candidate.image.shape].append(place)
        for places in shapes.values():
            masks = self._segmenter.predict(np.stack([candidates[place].image for place in places]))
            for place, seen in zip(places, masks, strict=True):
                found[place] = self._overlap(candidates[place], seen)
        return found

    def _known(self, candidate: Candidate) -> list[int]:
        return [one for one in candidate.condition.classes() if one in self._segmenter.categories]

    def _overlap(self, candidate: Candidate, seen: Mask) -> Measures:
        mask = candidate.condition.mask
        shares = [
            ((seen == one) & (mask == one)).sum() / ((seen == one) | (mask == one)).sum()
            for one in self._known(candidate)
        ]
        return {"agreement": float(np.mean(shares))}

    def _by_windows(self, candidate: Candidate, vectors: Any) -> Measures:
        present = candidate.condition.classes()
        if not present:
            return {}
        truth = majorities(candidate.condition.mask, self._spec.grid)
        rest = self._backgrounds(present) if (candidate.condition.mask == BACKGROUND).any() or len(present) == 1 else []
        similar = vectors @ self._clip.texts([*map(self._caption, present), *rest]).T
        names = np.array([*present, *[BACKGROUND] * len(rest)])
        seen = names[similar.argmax(dim=1).numpy()]
        known = np.unique(truth[truth != IGNORE])
        agreed = [(seen == one)[truth == one].mean() for one in known]
        return {"agreement": float(np.mean(agreed))} if agreed else {}

    @override
    def complaint(self, measures: Measures, category: int | None, least: float) -> str:
        return f"the image does not follow its mask (agreement {measures['agreement']:.2f}, least {least:.3g})"


def windows(image: Image, grid: int) -> list[Image]:
    """grid × grid windows in raster order that together cover an (H, W, 3) image; each at least a pixel wide."""
    return [image[rows, columns] for rows, columns in _places(image.shape[0], image.shape[1], grid)]


def majorities(mask: Mask, grid: int) -> npt.NDArray[np.int64]:
    """(grid²,) class id that fills most of each window of an (H, W) mask, in raster order; of equals the lower."""
    places = _places(mask.shape[0], mask.shape[1], grid)
    return np.array([np.bincount(mask[rows, columns].ravel()).argmax() for rows, columns in places])


def _places(height: int, width: int, grid: int) -> list[tuple[slice, slice]]:
    def spans(length: int) -> list[slice]:
        edges = np.linspace(0, length, grid + 1).astype(int).tolist()
        return [slice(min(low, length - 1), max(high, low + 1)) for low, high in pairwise(edges)]

    return [(rows, columns) for rows in spans(height) for columns in spans(width)]
