"""Objects of a mask: where each instance lies, and connected components where nobody has told them apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import InstanceMap, Mask

MAX_INSTANCES = 65535


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


def components(mask: Mask, categories: Iterable[int]) -> InstanceMap:
    """(H, W) uint16: 8-connected components of each of the categories, numbered from 1, category by category.

    Components beyond the 65535th stay 0: such a mask is texture, not objects.
    """
    found = np.zeros(mask.shape, np.uint16)
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    total = 0
    for category in sorted(set(categories) & set(present.tolist())):
        count, labels = cv2.connectedComponents((mask == category).astype(np.uint8), connectivity=8)
        room = min(count - 1, MAX_INSTANCES - total)
        inside = (labels > 0) & (labels <= room)
        found[inside] = labels[inside] + total
        total += room
    return found


def length(shape: npt.NDArray[np.bool_]) -> float:
    """Longer side, in pixels, of the smallest turned rectangle around the True pixels of an (H, W) array."""
    points = np.argwhere(shape)[:, ::-1].astype(np.float32)
    _, sides, _ = cv2.minAreaRect(points)
    return float(max(sides)) + 1.0  # from pixel centres to pixel edges
