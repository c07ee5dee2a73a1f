"""Does the image repeat itself, is it mere noise, or does it show seams? Pixels alone; no model.

Tiling: a picture that resembles itself after a shift by a large part of its side. Seams: a whole row or column at which
the grey levels jump far more than elsewhere. Noise: neighbouring pixels that know nothing of one another. The measures and
thresholds are ours; EarthSynth publishes no rule.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import cv2
import numpy as np
from typing_extensions import override

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate, Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.rfilter.base import Measures, PixelRule, RuleSpec

SIDE = 128
"""Pixels that the picture is brought to before repetition is looked for."""

NEAR = 12
"""Shifts of fewer of those pixels are left out: a smooth picture always resembles itself there."""


class ArtefactsSpec(RuleSpec):
    """Refuses tiled images, noise, and images with seams."""

    threshold: ClassVar[str] = "min_soundness"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_soundness", "max_seam"})
    kind: Literal["artefacts"]
    min_soundness: float = Field(default=0.15, ge=0, le=2)
    """Least soundness, the smaller of two numbers: variety, 1 minus the correlation of the picture with itself under the
    worst large shift; and twice the correlation of neighbouring pixels."""
    max_seam: float = Field(default=12.0, ge=1)
    """Largest jump between two neighbouring rows or columns, in medians of all such jumps."""

    def build(self, context: StageContext) -> Artefacts:
        return Artefacts(self, context)


class Artefacts(PixelRule):
    """See `ArtefactsSpec`. The value is the soundness, in −2 … 2."""

    _spec: ArtefactsSpec
    primary: ClassVar[str] = "soundness"

    def look(self, candidate: Candidate) -> Measures:
        various, smooth = variety(candidate.image), smoothness(candidate.image)
        soundness = min(various, 2 * smooth)
        return {"soundness": soundness, "variety": various, "smoothness": smooth, "seam": seam(candidate.image)}

    @override
    def faults(self, measures: Measures, category: int | None, least: float) -> list[str]:
        found = []
        if measures["soundness"] < least:
            what = "tiled" if measures["variety"] <= 2 * measures["smoothness"] else "noise"
            found.append(f"{what} (soundness {measures['soundness']:.2f}, least {least:.3g})")
        if measures["seam"] > self._spec.max_seam:
            found.append(f"a seam across it ({measures['seam']:.0f} × the usual step, most {self._spec.max_seam:g})")
        return found


def smoothness(image: Image) -> float:
    """Correlation of grey levels a pixel apart along rows, −1 … 1: near 0 for noise, 0 for a flat image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    left, right = grey[:, :-1].ravel(), grey[:, 1:].ravel()
    spread = float(left.std() * right.std()) if left.size else 0.0
    return float(np.mean((left - left.mean()) * (right - right.mean())) / spread) if spread > 1e-9 else 0.0


def variety(image: Image) -> float:
    """1 − the largest circular autocorrelation of the grey picture beyond `NEAR`; 0 for a perfect tiling."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    # Fine structure alone: slow changes of brightness would pass for repetition.
    fine = grey.astype(np.float32) - cv2.GaussianBlur(grey, (0, 0), 6).astype(np.float32)
    spectrum = np.fft.rfft2(fine - fine.mean())
    power = np.fft.irfft2(np.abs(spectrum) ** 2, s=(SIDE, SIDE))
    if power[0, 0] < 1e-6:
        return 0.0
    shifts = np.minimum(np.arange(SIDE), SIDE - np.arange(SIDE))
    far = np.maximum.outer(shifts, shifts) >= NEAR
    return float(1 - power[far].max() / power[0, 0])


def seam(image: Image) -> float:
    """Largest step between neighbouring rows or columns over the median of such steps; ≥ 1, or 1 for tiny images."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    worst = 1.0
    for axis in (0, 1):
        # The median along the line: a seam lies across the whole picture, an object's edge does not.
        steps = np.median(np.abs(np.diff(grey, axis=axis)), axis=1 - axis)
        if steps.size:
            worst = max(worst, float(steps.max() / max(np.median(steps), 1.0)))
    return worst
