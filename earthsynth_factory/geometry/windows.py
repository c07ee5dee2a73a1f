"""A large image as overlapping windows of bounded size, and the windows as one image again, without seams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

OVERLAP = 0.25
"""Least share of a window that it has in common with the next."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of an image, in pixels (or of latents, in their cells)."""

    top: int
    left: int
    height: int
    width: int

    def times(self, factor: int) -> Window:
        """The same one on a grid this many times finer."""
        return Window(self.top * factor, self.left * factor, self.height * factor, self.width * factor)

    @property
    def share(self) -> npt.NDArray[np.float32]:
        """(H, W) how much it counts where windows overlap: it fades towards its borders and is nowhere 0."""
        return np.asarray(_ramp(self.height)[:, None] * _ramp(self.width)[None, :])

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def windows_of(shape: tuple[int, int], side: int, grid: int) -> list[Window]:
    """Windows of at most `side` pixels that cover an image of `shape` (H, W), their places multiples of `grid`."""
    rows, columns = (_starts(extent, min(side, extent), grid) for extent in shape)
    height, width = (min(side, extent) for extent in shape)
    return [Window(top, left, height, width) for top in rows for left in columns]


def stitched(
    picture: npt.NDArray[np.uint8], windows: Sequence[Window], parts: Sequence[npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    """The picture (H, W, 3) with the parts in its windows; where windows overlap, one fades into the other."""
    if len(windows) == 1 and parts[0].shape == picture.shape:
        return parts[0]
    total, weights = np.zeros(picture.shape, np.float32), np.zeros((*picture.shape[:2], 1), np.float32)
    for window, part in zip(windows, parts, strict=True):
        share = window.share[..., None]
        total[window.place] += share * part
        weights[window.place] += share
    seen = weights > 0
    return np.asarray(np.where(seen, np.rint(total / np.where(seen, weights, 1)), picture), np.uint8)


def _starts(extent: int, side: int, grid: int) -> list[int]:
    """Where windows of `side` begin, evenly spread over `extent`."""
    free = extent - side
    count = 1 + -(-free // max(grid, int(side * (1 - OVERLAP))))
    return [round(place / grid) * grid for place in np.linspace(0, free, count)]


def _ramp(side: int) -> npt.NDArray[np.float32]:
    """(side,) weights that fall off towards both ends and are nowhere 0: a sine's square, since where a straight ramp begins
    and ends its kinks can be seen. Those of two windows that have just `OVERLAP` in common add up to 1.
    """
    centre = np.arange(side, dtype=np.float32) + 0.5
    straight = np.minimum(1, np.minimum(centre, side - centre) / (OVERLAP * side))
    return np.asarray(np.sin(np.pi / 2 * straight) ** 2, np.float32)
