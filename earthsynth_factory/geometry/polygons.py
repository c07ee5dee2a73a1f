"""Polygons of a mask, for readers that want them. They are derived; what they lose is measured."""

from __future__ import annotations

import cv2
import numpy as np
from pycocotools import mask as coco

from earthsynth_factory.geometry.rle import BoolMask


def to_polygons(mask: BoolMask) -> list[list[float]]:
    """COCO polygons [x, y, …] of an (H, W) mask, one for every outer contour of every part.

    A contour runs through pixel centres; half a pixel is added and the outline grown to the pixels' outer edge by tracing
    a mask of twice the size. COCO's polygons know no holes: they are filled. `polygon_iou` says what that costs.
    """
    double = cv2.resize(mask.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlines = [(contour[:, 0].astype(np.float64) + 0.5) / 2 for contour in contours if len(contour) >= 3]
    return [outline.ravel().tolist() for outline in outlines]


def polygon_iou(mask: BoolMask, polygons: list[list[float]]) -> float:
    """IoU of an (H, W) mask with its polygons as pycocotools draws them; 0 where there are none."""
    if not polygons:
        return 0.0
    height, width = mask.shape
    drawn = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width))).astype(bool)
    return float((drawn & mask).sum() / (drawn | mask).sum())
