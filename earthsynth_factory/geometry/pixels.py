"""True pixels of a map, found by their number, where a list of all of them would be long and one is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt


def pixels_at(bits: npt.NDArray[np.bool_], numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Row and column of the True pixels of an (H, W) map that `np.flatnonzero` has at these places."""
    ends = cv2.reduce(bits.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0].cumsum()
    for number in numbers:
        row = int(np.searchsorted(ends, number, side="right"))
        yield row, int(np.flatnonzero(bits[row])[number - ends[row]])  # counted from the row's last one
