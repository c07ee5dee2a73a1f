"""The texts that images and crops are compared with."""

from __future__ import annotations

from earthsynth_factory.domain.taxonomy import EARTHSYNTH_TEMPLATE

BACKGROUNDS = ("bare land", "water", "grass", "urban land", "forest land", "agriculture land")
"""What else a crop of overhead imagery may show; the first stands for an image without any class."""


def caption(words: str) -> str:
    """EarthSynth's prompt for one class."""
    return EARTHSYNTH_TEMPLATE.format(classes=words)
