"""The square's eight symmetries: what an image of the ground may be turned into without becoming another place's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def dihedral(array: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    """One of the eight symmetries (0–7; 0 is none) of an (H, W[, C]) array."""
    turned = np.rot90(array, turn % 4)
    return turned[:, ::-1] if turn >= 4 else turned
