"""One closed line around an object through the centres of its pixels, for formats that hold no more than one.

Readers of such formats (Ultralytics, supervision) draw it with `cv2.fillPoly`, which fills the pixels under the line too.
A line along the cracks between pixels, as COCO has it, would come back a pixel larger at the right and below. Holes are
joined by a cut of no width and come back; so are further parts, but between parts the cut draws a line of pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.geometry.polygons import Ring, joined


def outline_of(mask: npt.NDArray[np.bool_]) -> Ring:
    """(k, 2) pixels x, y of the line, k ≥ 3, around an (H, W) mask. Raises ValueError for an empty mask."""
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        raise ValueError("an empty mask has no outline")
    rings: list[Ring] = [np.asarray(contour[:, 0], dtype=np.int32) for contour in contours]
    parents = hierarchy[0, :, 3]
    parts = {int(index): rings[index] for index in np.flatnonzero(parents < 0)}
    for index in np.flatnonzero(parents >= 0):
        parts[int(parents[index])] = joined(parts[int(parents[index])], rings[index])
    line, *others = parts.values()
    for other in others:
        line = joined(line, other)
    return line if len(line) >= 3 else np.pad(line, ((0, 3 - len(line)), (0, 0)), mode="edge")


def filled(outline: Ring, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The (height, width) mask that `cv2.fillPoly` makes of the line."""
    return np.asarray(cv2.fillPoly(np.zeros((height, width), np.uint8), [outline], 1), dtype=bool)
