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


class RunLengthError(ValueError):
    """Run lengths that are none of a mask of the size they are to have."""


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
    """The (height, width) mask of compressed counts. Raises ValueError if they do not cover it exactly."""
    counts = _read_counts(text, height, width)
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape((height, width), order="F")


def decode_patch(text: str, height: int, width: int, most: int) -> tuple[int, int, npt.NDArray[np.bool_]] | None:
    """Row and column of the mask's bounding box and its pixels, bool (h, w); None of an empty mask.

    Costs the box alone, of a (height, width) mask however large. Raises ValueError as `decode` does, and if the box has
    more than `most` pixels.
    """
    ends = np.cumsum(_read_counts(text, height, width), dtype=np.int64)
    starts, lasts = ends[:-1:2], ends[1::2] - 1
    starts, lasts = starts[lasts >= starts], lasts[lasts >= starts]
    if not len(starts):
        return None
    left, right = int(starts[0]) // height, int(lasts[-1]) // height + 1
    # A run that goes on in the next column touches the mask's lower border and its upper one.
    wraps = bool((starts // height != lasts // height).any())
    top, bottom = (0, height) if wraps else (int((starts % height).min()), int((lasts % height).max()) + 1)
    rows, columns = bottom - top, right - left
    if rows * columns > most:
        raise ValueError(f"an object of {columns}×{rows} pixels is too large")
    turns = np.zeros(rows * columns + 1, np.int8)
    turns[_within(starts, height, top, left, rows)] = 1
    turns[_within(lasts, height, top, left, rows) + 1] -= 1  # runs that touch in the box: up and down at one place
    pixels = np.cumsum(turns[:-1], dtype=np.int8).astype(bool)
    return top, left, np.ascontiguousarray(pixels.reshape((rows, columns), order="F"))


def _within(positions: IntArray, height: int, top: int, left: int, rows: int) -> IntArray:
    """Column-major positions in a mask of that height → positions in a box of it."""
    return (positions // height - left) * rows + positions % height - top


def _counts(starts: IntArray, lengths: IntArray, pixels: int) -> IntArray:
    """Alternating counts; like pycocotools, without a last 0 if the mask ends inside."""
    ends = starts + lengths
    gaps = starts - np.concatenate([[0], ends[:-1]])
    counts = np.stack([gaps, lengths], axis=1).ravel()
    return counts if ends[-1] == pixels else np.append(counts, pixels - ends[-1])


def _encode_empty(mask: npt.NDArray[np.bool_]) -> str:
    counts: bytes = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts.decode("ascii")


def _read_counts(text: str, height: int, width: int) -> list[int]:
    counts = _parse(text)
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise RunLengthError(f"run lengths {text[:40]!r} do not cover {height}×{width} pixels")
    return counts


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
