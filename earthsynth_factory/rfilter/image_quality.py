"""Is it an image at all? Flat, saturated and blurred ones are refused by their pixels; no model is needed.

The thresholds are our own reading: EarthSynth publishes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from earthsynth_factory.domain.sample import Candidate, Image, Score
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.rfilter.base import Rule, RuleSpec


class ImageQualitySpec(RuleSpec):
    """Refuses flat, saturated and blurred images."""

    kind: Literal["image_quality"]
    min_contrast: float = Field(default=6.0, ge=0, le=255)
    """Least standard deviation of the grey levels (0–255); below it the image is flat."""
    max_saturated: float = Field(default=0.35, ge=0, le=1)
    """Largest share of pixels that are nearly black or white (grey below 3 or above 252)."""
    min_sharpness: float = Field(default=0.02, ge=0)
    """Least sharpness: variance of the Laplacian over variance of the grey levels. A wall of fog has about 0."""

    def build(self, taxonomy: Taxonomy, targets: Sequence[int], base: Path, device: str) -> ImageQuality:  # noqa: ARG002
        return ImageQuality(self)


class ImageQuality(Rule):
    """See `ImageQualitySpec`. The value is the sharpness."""

    def __init__(self, spec: ImageQualitySpec) -> None:
        self._spec = spec

    def open(self) -> None:
        """Nothing to load."""

    def score(self, candidates: Sequence[Candidate]) -> list[Score]:
        return [self._score(candidate.image) for candidate in candidates]

    def _score(self, image: Image) -> Score:
        spec = self._spec
        contrast, saturated, sharpness = measures(image)
        faults = [
            (spec.min_contrast - contrast, f"flat (contrast {contrast:.1f}, least {spec.min_contrast:g})"),
            (
                saturated - spec.max_saturated,
                f"saturated ({saturated:.0%} black or white, most {spec.max_saturated:.0%})",
            ),
            (spec.min_sharpness - sharpness, f"blurred (sharpness {sharpness:.3f}, least {spec.min_sharpness:g})"),
        ]
        reasons = [reason for breach, reason in faults if breach > 0]
        return Score(sharpness, not reasons, ", ".join(reasons))


def measures(image: Image) -> tuple[float, float, float]:
    """Contrast (standard deviation of grey, 0–128), saturated share (0–1), sharpness (≥ 0) of an (H, W, 3) image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    variance = float(grey.var())
    edges = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    saturated = float(np.mean((grey < 3) | (grey > 252)))
    return variance**0.5, saturated, edges / max(variance, 1e-6)
