"""One picture over another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def blended(
    below: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], share: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """`above` over `below`, (H, W, 3) each, by the share (H, W) of it that is seen; where that is 0, `below` to the bit."""
    mixed = below + share[..., None] * (above.astype(np.float32) - below)
    return np.asarray(np.where(share[..., None] > 0, np.rint(mixed), below), np.uint8)
