"""Objects of a mask: where each instance lies, and how long it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import InstanceMap, Mask


@dataclass(frozen=True, slots=True)
class Object:
    """One instance. Box in pixels, bottom and right exclusive; area: its pixels."""

    id: int
    category: int
    top: int
    left: int
    bottom: int
    right: int
    area: int

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the box, to cut it out of a map."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def objects_of(mask: Mask, instances: InstanceMap) -> list[Object]:
    """Every instance of an (H, W) mask and instance map, ascending by id."""
    rows, columns = np.nonzero(instances)
    if not len(rows):
        return []
    ids = instances[rows, columns]
    order = np.argsort(ids, kind="stable")
    ids, rows, columns = ids[order], rows[order], columns[order]
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    top, bottom = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts) + 1
    left, right = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts) + 1
    categories = mask[rows[starts], columns[starts]]
    areas = np.diff(np.r_[starts, len(ids)])
    table = zip(ids[starts], categories, top, left, bottom, right, areas, strict=True)
    return [Object(*(int(value) for value in row)) for row in table]


def length(shape: npt.NDArray[np.bool_]) -> float:
    """Longer side, in pixels, of the smallest turned rectangle around the True pixels of an (H, W) array."""
    points = np.argwhere(shape)[:, ::-1].astype(np.float32)
    _, sides, _ = cv2.minAreaRect(points)
    return float(max(sides)) + 1.0  # from pixel centres to pixel edges
