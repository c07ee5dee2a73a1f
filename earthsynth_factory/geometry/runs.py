"""All instances of a map at once, as the vertical runs of pixels that COCO's RLE, boxes and areas are made of.

One pass over the map finds every run; what follows costs by the run, not by the pixel and the instance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of equal id in column-major order, as COCO counts pixels: pixel (y, x) of an (H, W) map is number x·H + y.

    ids: (n,) instance ids, ascending. first: (n,) where each instance's runs begin in `starts` and `lengths`.
    starts: (r,) number of each run's first pixel. lengths: (r,) pixels. A run may go on from one column into the next.
    """

    height: int
    width: int
    ids: IntArray
    first: IntArray
    starts: IntArray
    lengths: IntArray

    def areas(self) -> IntArray:
        """(n,) pixels of each instance."""
        return np.add.reduceat(self.lengths, self.first) if len(self.ids) else np.zeros(0, np.int64)

    def of(self, index: int) -> tuple[IntArray, IntArray]:
        """Starts and lengths of the runs of `ids[index]`."""
        end = self.first[index + 1] if index + 1 < len(self.ids) else len(self.starts)
        part = slice(self.first[index], end)
        return self.starts[part], self.lengths[part]

    def corners(self) -> tuple[IntArray, IntArray]:
        """Row and column of the first pixel of each instance: a place where the instance certainly is."""
        columns, rows = np.divmod(self.starts[self.first], self.height)
        return rows, columns


def find_runs(ids: npt.NDArray[np.uint16]) -> Runs:
    """The runs of every id but 0 in an (H, W) map."""
    flat = ids.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1]) if flat.size else np.zeros(0, np.int64)
    lengths = np.diff(starts, append=flat.size)
    values = flat[starts].astype(np.int64)
    order = np.argsort(values, kind="stable")
    order = order[values[order] > 0]
    found, first = np.unique(values[order], return_index=True)
    height, width = ids.shape
    return Runs(height, width, found, first.astype(np.int64), starts[order], lengths[order])
