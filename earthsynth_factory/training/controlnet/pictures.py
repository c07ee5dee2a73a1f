"""Image and mask brought to the training size by one geometry."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.rgb import read_rgb
from earthsynth_factory.training.order import dihedral


def read_classes(path: Path, lut: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Category ids uint8 (H, W): the file's ids by way of `lut` (256,)."""
    return lut[np.minimum(read_ids(path), 255)]


def turned_image(path: Path, size: int, turn: int) -> npt.NDArray[np.uint8]:
    """An image file as (size, size, 3), in one of the square's symmetries."""
    return np.ascontiguousarray(dihedral(fit_image(read_rgb(path), size), turn))


def fit_image(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The largest centred square of (H, W, 3) at (size, size, 3): area averaging, cubic if it must grow."""
    square = image[centred_square(*image.shape[:2])]
    method = cv2.INTER_AREA if len(square) >= size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=method), np.uint8)


def fit_mask(mask: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The same square of (H, W) at (size, size): nearest only, so that no class appears that was not there."""
    square = mask[centred_square(*mask.shape)]
    return np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def centred_square(height: int, width: int) -> tuple[slice, slice]:
    """The place of the largest centred square: the one geometry of image and mask."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return slice(top, top + side), slice(left, left + side)
