"""What rules that look with a segmenter have in common: which one, its identity, and when it is loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.weights import EMBEDDED, weight_hashes
from earthsynth_factory.rfilter.base import MeasuredRule, RuleSpec

if TYPE_CHECKING:
    from earthsynth_factory.models.segmenter import Segmenter


class SegmenterRuleSpec(RuleSpec):
    """The block of a rule that looks with a segmenter."""

    segmenter: str = "embedded"
    """`embedded`, or the folder of a trained segmenter (segmenter.json, segmenter.safetensors)."""

    def identity(self, base: Path) -> Mapping[str, str]:
        return segmenter_identity(self.segmenter, base, self.kind)


class SegmenterRule(MeasuredRule):
    """A rule that looks with a segmenter."""

    _spec: SegmenterRuleSpec

    def __init__(self, spec: SegmenterRuleSpec, context: StageContext) -> None:
        super().__init__(spec, context)
        self._base, self._device = context.base, context.device

    def open(self) -> None:
        self._segmenter = load_segmenter(self._spec.segmenter, self._base, self._device)

    def describe(self) -> Mapping[str, Any]:
        return {"segmenter": self._spec.segmenter}

    def _seen(self, images: Sequence[Image]) -> list[npt.NDArray[np.float32]]:
        """Probability of every category of the segmenter, (K, H, W), in each image; those of one shape together."""
        found: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(images)
        shapes = defaultdict(list)
        for place, image in enumerate(images):
            shapes[image.shape].append(place)
        for places in shapes.values():
            scores = self._segmenter.scores(np.stack([images[place] for place in places]))
            for place, score in zip(places, scores, strict=True):
                found[place] = score
        return found


def segmenter_folder(segmenter: str, base: Path) -> Path:
    """`embedded`, or a folder; relative ones start from `base`."""
    return EMBEDDED / "segmenter" if segmenter == "embedded" else base / Path(segmenter).expanduser()


def segmenter_identity(segmenter: str, base: Path, kind: str) -> Mapping[str, str]:
    """Weight file → sha256. kind: of the block that names it. Raises ModelError if there is no such folder."""
    folder = segmenter_folder(segmenter, base)
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; `segmenter` of {kind} names a trained segmenter")
    return weight_hashes(folder)


def load_segmenter(segmenter: str, base: Path, device: str) -> Segmenter:
    """The segmenter on a device. Raises ModelError if its files are missing or damaged."""
    from earthsynth_factory.models.device import pick_device
    from earthsynth_factory.models.segmenter import Segmenter

    return Segmenter.load(segmenter_folder(segmenter, base), str(pick_device(device)))
