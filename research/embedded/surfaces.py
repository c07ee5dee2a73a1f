"""What the ground around objects looks like, guessed from colour and roughness: for masks that label objects alone.

Rough, but the same everywhere: what is grey and bright is paved, what is green is grass or, if rough, forest, what
is smooth and not bright beside ships, harbors and bridges is water, the rest is bare land. A segmenter that has learnt
land cover from other sets did worse: it took parks for fields and shaded trees for water.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import earthsynth

COARSER = 2
"""Guesses are made at this many times the image's metres per pixel."""

WINDOW = 7
"""Side in pixels, there, of what a pixel's colour and roughness are taken from."""

ON_WATER = ("ship", "harbor", "bridge")
ON_ROADS = ("small vehicle", "large vehicle")

_Plane = npt.NDArray[np.float32]


def surfaces(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Category ids (H, W) of the ground in an RGB image (H, W, 3); `mask` (H, W) tells which objects are on it."""
    height, width = mask.shape
    small = cv2.resize(image, (-(-width // COARSER), -(-height // COARSER)), interpolation=cv2.INTER_AREA)
    pixels = small.astype(np.float32)
    red, green, blue = (_blur(pixels[..., channel]) for channel in range(3))
    light, rough = (red + green + blue) / 3, _roughness(pixels.mean(axis=2))
    colourful = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    paved = (colourful < 26) & (light > 85)
    leafy = 2 * green - red - blue > (24 if _any(mask, ("plane",)) else 8)
    guess = np.full(light.shape, _id("bare land"), np.uint8)
    guess[paved] = _id("road" if _any(mask, ON_ROADS) else "pavement")
    guess[leafy] = _id("grass")
    guess[(leafy | (light < 70)) & (rough > 9)] = _id("forest land")
    if _any(mask, ON_WATER):
        guess[(rough < 9) & (light < 130) & (red < blue + 14) & ~(paved & (light > 105))] = _id("water")
    guess = cv2.medianBlur(guess, WINDOW).astype(np.uint8)
    return np.asarray(cv2.resize(guess, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _blur(plane: _Plane) -> _Plane:
    return np.asarray(cv2.blur(plane, (WINDOW, WINDOW)), np.float32)


def _roughness(light: _Plane) -> _Plane:
    return np.asarray(np.sqrt(np.maximum(_blur(light**2) - _blur(light) ** 2, 0)), np.float32)


def _any(mask: npt.NDArray[np.uint8], names: tuple[str, ...]) -> bool:
    return bool(np.isin(mask, [_id(name) for name in names]).any())


def _id(name: str) -> int:
    return earthsynth().named(name).id
