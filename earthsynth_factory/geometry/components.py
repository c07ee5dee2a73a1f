"""Connected components of all classes at once: instances if a source has none of its own."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import SourceError

MAX_COMPONENTS = 65535
"""Instance maps are 16 bit and 0 is no instance."""


def components(mask: npt.NDArray[np.uint8], classes: Iterable[int]) -> npt.NDArray[np.uint16]:
    """(H, W) ids 1 … n of the connected regions of each class in `classes`, in raster order; 0 elsewhere.

    mask: (H, W) class ids. Pixels of one class are connected across edges and corners (8-connected), since a thin
    diagonal object, a pier or a mast, is one. Raises SourceError if there are more than 65535.
    """
    from skimage.measure import label  # takes half a second to import

    wanted = np.zeros(256, bool)
    wanted[list(classes)] = True
    wanted[0] = False
    found, count = label(np.where(wanted[mask], mask, 0), background=0, return_num=True, connectivity=2)
    if count > MAX_COMPONENTS:
        raise SourceError(
            f"the mask falls into {count} separate objects, more than the {MAX_COMPONENTS} an instance map holds; "
            "is it noise? Clean the mask, or give instance ids of your own"
        )
    return np.asarray(found, dtype=np.uint16)
