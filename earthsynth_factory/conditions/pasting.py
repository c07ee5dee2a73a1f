"""An object's own pixels, put into another picture: soft at the edge, in the light of the place.

Light is compared in CIELAB between what surrounds the object in its own picture and what surrounds its new place: the object
follows a part of that difference, within bounds, so that a white aircraft stays white. Ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import Image, InstanceMap

MARGIN = 8
"""Pixels around an object by which its surroundings are judged."""

SHIFT = np.array([18.0, 8.0, 8.0], np.float32)
"""Most that L, a and b may move (CIELAB units)."""

GAIN = (0.75, 1.33)
"""Least and most by which contrast may change."""

SOFT = 2.0
"""Pixels over which an object's edge fades into its place."""

Lab = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Light:
    """Surroundings in CIELAB: mean (3,), and deviation of L. None of it is known if there is nothing but objects."""

    mean: Lab
    deviation: float


@dataclass(frozen=True, eq=False)
class Piece:
    """An object's pixels with `MARGIN` pixels around its box, (h + 2·MARGIN, w + 2·MARGIN, 3), and its light."""

    pixels: Image
    light: Light | None


def cut_piece(picture: Image, instances: InstanceMap, box: tuple[slice, slice]) -> Piece:
    """The pixels of a box (rows, columns) of a picture (H, W, 3); the picture's edge goes on beyond it."""
    (top, bottom), (left, right) = ((side.start - MARGIN, side.stop + MARGIN) for side in box)
    height, width = instances.shape
    window = np.s_[max(top, 0) : bottom, max(left, 0) : right]
    beyond = max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)
    pixels, things = (cv2.copyMakeBorder(one[window], *beyond, cv2.BORDER_REPLICATE) for one in (picture, instances))
    return Piece(np.asarray(pixels, np.uint8), light_of(pixels, things == 0))


def light_of(pixels: Image, counts: npt.NDArray[np.bool_]) -> Light | None:
    """Light of the pixels (h, w, 3) that count (h, w); None if there are none."""
    if not counts.any():
        return None
    mean, deviation = cv2.meanStdDev(_to_lab(pixels), mask=counts.astype(np.uint8))
    return Light(np.asarray(mean[:, 0], np.float32), float(deviation[0, 0]))


def in_light(pixels: Image, own: Light | None, place: Light | None, strength: float) -> Image:
    """The pixels (h, w, 3) moved by `strength` (0–1) of the way from their own light to that of the place."""
    if strength == 0 or own is None or place is None:
        return pixels
    lab = _to_lab(pixels)
    shift = np.clip(strength * (place.mean - own.mean), -SHIFT, SHIFT)
    gain = np.clip((place.deviation + 1) / (own.deviation + 1), *GAIN) ** strength
    middle = lab[..., :1].mean()
    lab[..., 0] = (lab[..., 0] - middle) * gain + middle
    changed = cv2.cvtColor(lab + shift.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.asarray(np.clip(changed * 255 + 0.5, 0, 255), np.uint8)


def coverage(shape: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """(h, w) in [0, 1]: how much of the object a pixel shows. All of it inside, some at the edge, nothing outside."""
    return np.asarray(np.minimum(1, (depth(shape) + 0.5) / SOFT) * shape, np.float32)


def depth(shape: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """(h, w) how far each pixel of a silhouette is from what is outside of it, beyond its own frame too."""
    framed = cv2.copyMakeBorder(shape.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def _to_lab(pixels: Image) -> Lab:
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
