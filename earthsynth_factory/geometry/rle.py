"""COCO's compressed run lengths: the form in which a mask is kept and exported.

The counts alternate between pixels outside and inside, in column-major order, beginning outside. Compressed, each count
(from the third on, its difference to the one two before) is written in groups of five bits, low first, in the ASCII
characters from `0` on (pycocotools, `rleToString`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from earthsynth_factory.geometry.runs import IntArray, Runs, find_runs


def encode_runs(runs: Runs) -> list[str]:
    """Compressed counts of every instance, in the order of `runs.ids`; the same text that pycocotools makes of the mask."""
    size = [runs.height, runs.width]
    plain = [
        {"size": size, "counts": _counts(*runs.of(index), runs.height * runs.width)} for index in range(len(runs.ids))
    ]
    return [found["counts"].decode("ascii") for found in coco.frPyObjects(plain, *size)] if plain else []


def encode(mask: npt.NDArray[np.bool_]) -> str:
    """Compressed counts of one (H, W) mask."""
    return encode_runs(find_runs(mask.astype(np.uint16)))[0] if mask.any() else _encode_empty(mask)


def encode_patch(pixels: npt.NDArray[np.bool_], top: int, left: int, height: int, width: int) -> str:
    """As `encode` of a (height, width) mask that is `pixels` (h, w) at row `top`, column `left`; costs the patch alone."""
    strip = np.zeros((height, pixels.shape[1]), np.uint16)
    strip[top : top + pixels.shape[0]] = pixels
    runs = find_runs(strip)
    if not len(runs.ids):
        return _encode_empty(np.zeros((height, width), bool))
    return encode_runs(replace(runs, width=width, starts=runs.starts + left * height))[0]


def decode(text: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The (height, width) mask of compressed counts. Raises ValueError where they do not cover it exactly."""
    counts = _parse(text)
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"run lengths {text[:40]!r} do not cover {height}×{width} pixels")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape((height, width), order="F")


def _counts(starts: IntArray, lengths: IntArray, pixels: int) -> IntArray:
    """Alternating counts; like pycocotools, without a last 0 where the mask ends inside."""
    ends = starts + lengths
    gaps = starts - np.concatenate([[0], ends[:-1]])
    counts = np.stack([gaps, lengths], axis=1).ravel()
    return counts if ends[-1] == pixels else np.append(counts, pixels - ends[-1])


def _encode_empty(mask: npt.NDArray[np.bool_]) -> str:
    counts: bytes = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts.decode("ascii")


def _parse(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0  # the sign is extended from the last group's top bit
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
