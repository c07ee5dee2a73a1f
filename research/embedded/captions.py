"""What a crop is called: EarthSynth's template with a word for the ground sampling distance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.prompts import EMPTY_SCENE, PromptWriter
from earthsynth_factory.domain.taxonomy import earthsynth
from research.embedded.crops import CropSet

TEMPLATE = "A satellite image of {classes}, {scale}"

SCALES: tuple[tuple[float, str], ...] = (
    (0.25, "0.2 m"),
    (0.5, "0.4 m"),
    (1.0, "0.8 m"),
    (2.0, "1.5 m"),
    (4.0, "3 m"),
    (1000.0, "6 m"),
)
"""Upper bound in metres per pixel → the prompt's word. Octaves: sizes on the ground halve or double between them."""


def writer() -> PromptWriter:
    """The prompt writer of the embedded model."""
    return PromptWriter(earthsynth(), TEMPLATE, SCALES)


def captions(crops: CropSet) -> list[str]:
    """One prompt a crop: every category present in its mask, ascending ids, and its scale."""
    write = writer().write
    return [
        write(categories_in(mask), float(scale))
        for mask, scale in zip(crops.masks, crops.metres_per_pixel, strict=True)
    ]


def all_words() -> list[str]:
    """Every word that the embedded model's prompts can hold, and all other category names."""
    text = " ".join(
        [
            TEMPLATE.format(classes=EMPTY_SCENE, scale=""),
            *(c.words for c in earthsynth()),
            *(word for _, word in SCALES),
        ]
    )
    return [word for part in text.lower().replace(",", " , ").split() for word in _split(part)]


def categories_in(masks: npt.NDArray[np.uint8]) -> tuple[int, ...]:
    """Ids present in masks (any shape), background left out."""
    return tuple(int(i) for i in np.flatnonzero(np.bincount(masks.ravel(), minlength=256)) if i)


def _split(part: str) -> list[str]:
    """As CLIP's tokenizer parts words: runs of letters, single digits, runs of anything else."""
    out: list[str] = []
    for char in part:
        kind = "letter" if char.isalpha() else "digit" if char.isdigit() else "sign"
        if out and kind != "digit" and _kind(out[-1]) == kind:
            out[-1] += char
        else:
            out.append(char)
    return out


def _kind(word: str) -> str:
    return "letter" if word[0].isalpha() else "digit" if word[0].isdigit() else "sign"
