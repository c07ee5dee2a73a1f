"""Connected components of a class-id mask."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from skimage.measure import label

from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.errors import SourceError

MAX_INSTANCES = 65535
"""Instance maps are 16 bit."""


def components(mask: Mask, classes: Collection[int]) -> InstanceMap:
    """(H, W) uint16: an id for every connected region of one class, 1 … n in scan order; 0 elsewhere.

    Regions touch along edges and corners (8-connectivity). Only the given classes are looked at. Raises SourceError where
    there are more regions than a 16-bit map can number: such a mask is noise.
    """
    wanted = np.isin(mask, list(classes))
    found, count = label(np.where(wanted, mask, 0), background=0, connectivity=2, return_num=True)
    if count > MAX_INSTANCES:
        raise SourceError(f"a mask has {count} separate objects, more than {MAX_INSTANCES}; is it a photograph?")
    return found.astype(np.uint16)
