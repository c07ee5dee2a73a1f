"""Label images whose colours tell objects apart: an object is what one colour covers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.scene import SceneObject
from earthsynth_factory.io.pictures import Picture, pack_colours

BAND = 1024
"""Rows that are read at once."""

NOTHING = (0x000000, 0xFFFFFF, 0xE0E0C0)
"""Colours of no object: black, white (padding), and VOC's pale border between objects."""


def colour_regions(path: Path, size: tuple[int, int]) -> list[SceneObject]:
    """What each colour covers, without a class yet. Raises `SourceError` if the picture has another size than `size`."""
    from skimage.measure import regionprops  # takes half a second to import

    found = []
    for region in regionprops(numbered(path, size)):
        top, left, _, _ = region.bbox
        found.append(SceneObject("", top, left, np.asarray(region.image, bool)))
    return found


def classed(
    shapes: list[SceneObject], ids: npt.NDArray[np.uint8], skip: tuple[int, ...]
) -> list[tuple[int, SceneObject]]:
    """Each shape with the id that most of its pixels have in `ids` (H, W); those of a skipped one are left out."""
    found = []
    for one in shapes:
        place = np.s_[one.top : one.top + one.pixels.shape[0], one.left : one.left + one.pixels.shape[1]]
        most = int(np.bincount(ids[place][one.pixels]).argmax())
        if most not in skip:
            found.append((most, one))
    return found


def numbered(path: Path, size: tuple[int, int]) -> npt.NDArray[np.int32]:
    """(H, W) 1, 2, 3 … for each colour, 0 if there is no object, read by bands."""
    known: dict[int, int] = dict.fromkeys(NOTHING, 0)
    numbers = np.zeros(size, np.int32)
    with Picture(path) as picture:
        if picture.shape != size:
            shape = picture.shape
            raise SourceError(f"{path}: {shape[1]}×{shape[0]} pixels, the image has {size[1]}×{size[0]}")
        for top in range(0, size[0], BAND):
            bottom = min(top + BAND, size[0])
            colours, place = np.unique(pack_colours(picture.rgb(top, bottom)), return_inverse=True)
            ids = [known.setdefault(int(colour), len(known) - len(NOTHING) + 1) for colour in colours]
            numbers[top:bottom] = np.array(ids, np.int32)[place].reshape(bottom - top, size[1])
    return numbers
