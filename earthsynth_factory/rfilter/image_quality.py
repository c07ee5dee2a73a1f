"""Is it an image at all? Flat, saturated and blurred ones are refused by their pixels; no model is needed.

The thresholds are our own reading: EarthSynth publishes none.
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


class ImageQualitySpec(RuleSpec):
    """Refuses flat, saturated and blurred images."""

    threshold: ClassVar[str] = "min_sharpness"
    deciding: ClassVar[frozenset[str]] = frozenset({"min_contrast", "max_saturated", "min_sharpness"})
    kind: Literal["image_quality"]
    min_contrast: float = Field(default=6.0, ge=0, le=255)
    """Least standard deviation of the grey levels (0–255); below it the image is flat."""
    max_saturated: float = Field(default=0.35, ge=0, le=1)
    """Largest share of pixels that are nearly black or white (grey below 3 or above 252)."""
    min_sharpness: float = Field(default=0.02, ge=0)
    """Least sharpness: variance of the Laplacian over variance of the grey levels. A wall of fog has about 0."""

    def build(self, context: StageContext) -> ImageQuality:
        return ImageQuality(self, context)


class ImageQuality(PixelRule):
    """See `ImageQualitySpec`. The value is the sharpness."""

    _spec: ImageQualitySpec
    primary: ClassVar[str] = "sharpness"

    def look(self, candidate: Candidate) -> Measures:
        return dict(zip(("contrast", "saturated", "sharpness"), measures(candidate.image), strict=True))

    @override
    def faults(self, measures: Measures, category: int | None, least: float) -> list[str]:
        spec = self._spec
        contrast, saturated, sharpness = (measures[name] for name in ("contrast", "saturated", "sharpness"))
        found = [
            (spec.min_contrast - contrast, f"flat (contrast {contrast:.1f}, least {spec.min_contrast:g})"),
            (
                saturated - spec.max_saturated,
                f"saturated ({saturated:.0%} black or white, most {spec.max_saturated:.0%})",
            ),
            (least - sharpness, f"blurred (sharpness {sharpness:.3f}, least {least:.3g})"),
        ]
        return [reason for breach, reason in found if breach > 0]


def measures(image: Image) -> tuple[float, float, float]:
    """Contrast (standard deviation of grey, 0–128), saturated share (0–1), sharpness (≥ 0) of an (H, W, 3) image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    variance = float(grey.var())
    edges = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    saturated = float(np.mean((grey < 3) | (grey > 252)))
    return variance**0.5, saturated, edges / max(variance, 1e-6)
