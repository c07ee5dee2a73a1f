"""One picture over another."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def blended(
    below: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], share: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """`above` over `below`, (H, W, 3) each, by the share (H, W) of it that is seen; where that is 0, `below` to the bit."""
    mixed = below + share[..., None] * (above.astype(np.float32) - below)
    return np.asarray(np.where(share[..., None] > 0, np.rint(mixed), below), np.uint8)


def feathered(region: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.float32]:
    """(H, W) in [0, 1]: 0 outside of the region, rising to 1 over `width` pixels inside of it."""
    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(np.minimum(1, depth / (width + 1)) * region, np.float32)
