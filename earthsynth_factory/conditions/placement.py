"""A silhouette, turned and enlarged, and how it finds room."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.masks.view import MaskView
from earthsynth_factory.conditions.pasting import MARGIN, Piece, depth
from earthsynth_factory.geometry.pixels import pixels_at

Bits = npt.NDArray[np.bool_]
"""(H, W) True if something is."""

PLACES = 24
"""Places tried for one silhouette before it counts as without room."""

DISC = 8
"""Pixels: up to this radius it is quicker to push a disc through an image of any size than to measure all its distances."""


@dataclass(frozen=True, eq=False)
class ObjectStamp:
    """A silhouette ready to be put down. shape: (h, w) bool, tight. anchor: (row, column) of its inmost pixel.

    radius: how far from the outline the anchor is, in pixels; where there is less room, nothing need be compared.
    piece: (h, w) pixels of the object, turned and enlarged alike, if its picture is known.
    """

    shape: Bits
    anchor: tuple[int, int]
    radius: float
    piece: Piece | None = None

    @property
    def area(self) -> int:
        """Pixels of the silhouette."""
        return int(self.shape.sum())


def render_object(
    shape: Bits, scale: float, angle: float, mirror: bool, piece: Piece | None = None
) -> ObjectStamp | None:
    """A silhouette enlarged by `scale` and turned by `angle` (radians), nearest only. None if no pixel is left.

    piece: the object's pixels, which go through the same view.
    """
    height, width = shape.shape
    turned = MaskView(0.0, 0.0, height, width, angle=angle).reach()
    size = [max(int(np.ceil(2 * reach * scale)), 1) for reach in turned]
    view = MaskView(height / 2, width / 2, size[0], size[1], 1 / scale, angle, mirror)
    bits = view.sample(shape)
    if not bits.any():
        return None
    rows, columns = np.flatnonzero(bits.any(1)), np.flatnonzero(bits.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    tight = bits[box]
    inward = depth(tight)
    row, column = divmod(int(inward.argmax()), tight.shape[1])
    turned_piece = piece and Piece(_moved(view, MARGIN).sample_picture(piece.pixels)[box], piece.light)
    return ObjectStamp(tight, (row, column), float(inward[row, column]), turned_piece)


def _moved(view: MaskView, margin: int) -> MaskView:
    """The same view into a source that has a margin around it."""
    return replace(view, y=view.y + margin, x=view.x + margin)


def find_place(free: Bits, stamp: ObjectStamp, min_inside: float, rng: np.random.Generator) -> tuple[int, int] | None:
    """Where the stamp's top left corner may go (row, column; may be negative), or None if no place was found.

    All of it that the image shows is on `free` (H, W), and the image shows at least the share `min_inside` of it.
    """
    roomy = _roomy(free, stamp.radius - 1)  # one pixel of grace: the 3×3 distance is an approximation
    count = int(np.count_nonzero(roomy))
    if not count:
        return None
    for anchor in pixels_at(roomy, rng.choice(count, size=min(PLACES, count), replace=False).tolist()):
        if found := at_anchor(free, stamp, anchor, min_inside):
            return found
    return None


def _roomy(free: Bits, radius: float) -> Bits:
    """(H, W) True where all within this distance (cv2's of 3×3) is free, if the image has it.

    A small disc is pushed through the image, which takes a fifth of the time of measuring all distances. They are sums
    that cv2 rounds as it meets them, so the two agree for a radius that is none of them; one of them less 1 never is.
    """
    if not 0 < radius <= DISC:
        return np.asarray(_distance(free.view(np.uint8)) >= radius)
    side = 2 * DISC + 3
    alone = np.ones((side, side), np.uint8)
    alone[side // 2, side // 2] = 0
    disc = _distance(alone) < radius
    return np.asarray(cv2.erode(free.view(np.uint8), disc.view(np.uint8)).view(bool))


def _distance(inside: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)


def at_anchor(free: Bits, stamp: ObjectStamp, anchor: tuple[int, int], min_inside: float) -> tuple[int, int] | None:
    """The stamp's top left corner if its inmost pixel goes to `anchor` (row, column); None if there is no room there."""
    top, left = anchor[0] - stamp.anchor[0], anchor[1] - stamp.anchor[1]
    there, part = overlap(free.shape, stamp, top, left)
    shown = stamp.shape[part]
    return (top, left) if shown.sum() >= min_inside * stamp.area and free[there][shown].all() else None


Window = tuple[slice, slice]


def overlap(shape: tuple[int, ...], stamp: ObjectStamp, top: int, left: int) -> tuple[Window, Window]:
    """The common window of an image of `shape` and a stamp at (top, left): in the image, and in the stamp."""
    height, width = stamp.shape.shape
    rows = slice(max(top, 0), max(min(top + height, shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, shape[1]), 0))
    inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    return (rows, columns), inside
