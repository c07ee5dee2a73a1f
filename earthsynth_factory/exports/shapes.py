"""The shape of one object as arrays: its mask cut out of the image, and its smallest rectangle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.geometry.boxes import clockwise, oriented_box
from earthsynth_factory.geometry.rle import decode


def patch(record: SampleRecord, instance: Instance) -> npt.NDArray[np.bool_]:
    """(h, w) mask of the object within its box."""
    x, y, width, height = instance.box
    return decode(instance.rle, record.height, record.width)[y : y + height, x : x + width]


def rectangle(record: SampleRecord, instance: Instance) -> npt.NDArray[np.float64]:
    """(4, 2) corners x, y of its smallest rectangle, clockwise from the upper left; they may lie outside the image."""
    return clockwise(oriented_box(patch(record, instance)) + instance.box[:2])
