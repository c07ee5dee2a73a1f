"""Pictures of composed samples: base, donor, what is pasted, the composed scene and its labels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw

from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.report.sheets import overlay
from earthsynth_factory.training.cf_comp.compose import Composed

DIMMED = 0.2
LINE = 13
"""Height in pixels of a line of the caption."""


def tile(composed: Composed, taxonomy: Taxonomy, side: int = 192) -> npt.NDArray[np.uint8]:
    """RGB (side + caption, 5·side, 3): base, donor, pasted pixels, composed image, composed labels."""
    (base, _), (donor, _), (image, mask) = composed.base, composed.donor, composed.scene
    lent = np.where(composed.region[..., None], donor, (donor * DIMMED).astype(np.uint8))
    views = [base, donor, lent, image, overlay(image, mask, mask.astype(np.uint16), taxonomy)]
    row = np.concatenate([cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA) for view in views], axis=1)
    return np.concatenate([row.astype(np.uint8), _caption(composed, taxonomy, row.shape[1])])


def _caption(composed: Composed, taxonomy: Taxonomy, width: int) -> npt.NDArray[np.uint8]:
    choice = composed.choice
    names = ", ".join(taxonomy[c].name for c in choice.classes) or "nothing"
    scores = "  ".join(f"{name} {score:.2f}" for name, score in choice.scores.items())
    strip = PIL.Image.new("RGB", (width, 2 * LINE + 2), "white")
    draw = PIL.ImageDraw.Draw(strip)
    draw.text((2, 1), f"{choice.donor} on {choice.base}: {names}, {choice.share:.1%} of the scene   {scores}", "black")
    draw.text((2, LINE), composed.text, "black")
    return np.asarray(strip, np.uint8)
