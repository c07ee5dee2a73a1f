"""A drawing board in metres: silhouettes in, class codes and instance ids out, with what hides what.

A pixel belongs to a silhouette where its centre lies inside it. Ground is painted under every thing already there; a
thing is placed whole or refused.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.procedural.shapes import Silhouette

Bools = npt.NDArray[np.bool_]
Window = tuple[slice, slice]

MIN_INSIDE = 0.5
"""Share of a thing that the border must leave."""

MIN_VISIBLE = 0.5
"""Share of a thing that occlusion and border together must leave."""

MIN_PIXELS = 12
"""Fewest pixels a thing may show."""

MAX_INSTANCES = 65_000
"""Ids are 16 bit."""


def stencil(shape: Silhouette, window: Window, metres_per_pixel: float) -> Bools:
    """True at the pixels of the window (rows, columns) whose centre is inside.

    cv2 fills every pixel an outline touches, so it is drawn two to four times finer and sampled at the centres.
    """
    rows, columns = (part.stop - part.start for part in window)
    fine = 4 if max(rows, columns) <= 96 else 2
    buffer = np.zeros((rows * fine, columns * fine), np.uint8)
    origin = np.array([window[1].start, window[0].start])
    for outlines, value in ((shape.parts, 1), (shape.holes, 0)):
        for outline in outlines:
            corners = np.rint((outline / metres_per_pixel - origin) * fine).astype(np.int32)
            cv2.fillPoly(buffer, [corners], value)
    sampled = buffer[fine // 2 :: fine].reshape(rows, columns, fine)  # each of a pixel's fine columns as a channel
    return np.asarray(cv2.extractChannel(sampled, fine // 2).view(bool))


def area(shape: Silhouette) -> float:
    """Square metres, to about one in a hundred: measured on a raster of 256 pixels along the longer side."""
    left, top, right, bottom = shape.bounds
    pixel = max(right - left, bottom - top) / 256
    columns, rows = (range_of(low, high, pixel) for low, high in ((left, right), (top, bottom)))
    return int(np.count_nonzero(stencil(shape, (rows, columns), pixel))) * pixel**2


def range_of(low: float, high: float, metres_per_pixel: float) -> slice:
    """The pixels that a range of metres touches."""
    return slice(math.floor(low / metres_per_pixel), math.ceil(high / metres_per_pixel))


class Board:
    """codes: (H, W) uint8 class codes. instances: (H, W) uint16, 0 if there is no thing."""

    def __init__(self, height: int, width: int, metres_per_pixel: float) -> None:
        self.codes = np.zeros((height, width), np.uint8)
        self.instances = np.zeros((height, width), np.uint16)
        self.metres_per_pixel = metres_per_pixel
        self._code_of = [0]
        self._whole = [1.0]  # pixels it would have if nothing hid it
        self._seen = [0]  # pixels it shows

    def paint(self, code: int, shape: Silhouette) -> None:
        """Ground: covers other ground, never a thing."""
        window = self._window(shape)
        if window is not None:
            inside = stencil(shape, window, self.metres_per_pixel)
            self.paint_where(code, inside, window)

    def paint_where(self, code: int, where: Bools, window: Window = np.s_[:, :]) -> None:
        """As `paint`, where a mask over the window is true."""
        free = where & (self.instances[window] == 0) if len(self._code_of) > 1 else where
        np.copyto(self.codes[window], code, where=free)

    def place(self, code: int, shape: Silhouette, over: Bools, on: Bools | None = None, gap: float = 0.0) -> bool:
        """Put a thing on top as a new instance, or refuse.

        over: (256,) codes of things it may hide a part of; any other thing must stay `gap` metres clear.
        on: (256,) codes that nine tenths of it must stand on, or None. Refused too if more than half would lie
        outside, if too few pixels remain, and if it would hide too much of another.
        """
        window = self._window(shape, gap)
        if window is None or len(self._code_of) > MAX_INSTANCES:
            return False
        inside = stencil(shape, window, self.metres_per_pixel)
        pixels = int(np.count_nonzero(inside))
        if pixels < MIN_PIXELS or (on is not None and np.count_nonzero(on[self.codes[window][inside]]) / pixels < 0.9):
            return False
        whole = self._whole_pixels(shape, pixels)
        hidden = self._met(window, self._grown(inside, gap))
        if pixels / whole < MIN_INSIDE or not all(over[self._code_of[number]] for number in hidden):
            return False
        hidden = self._met(window, inside) if gap > 0 else hidden
        if not all(self._spares(number, count) for number, count in hidden.items()):
            return False
        self._hide(hidden)
        self.codes[window][inside] = code
        self.instances[window][inside] = len(self._code_of)
        self._code_of.append(code)
        self._whole.append(whole)
        self._seen.append(pixels)
        return True

    def shade(self, code: int, shape: Silhouette) -> None:
        """Ground that hangs over things (a tree's crown): hides a part of them, but never too much."""
        window = self._window(shape)
        if window is None:
            return
        inside = stencil(shape, window, self.metres_per_pixel)
        hidden = self._met(window, inside)
        for number in [number for number, count in hidden.items() if not self._spares(number, count)]:
            inside &= self.instances[window] != number
            del hidden[number]
        self._hide(hidden)
        self.codes[window][inside] = code
        self.instances[window][inside] = 0

    def visible(self) -> dict[int, float]:
        """Instance id → share of it that is seen, for those of which something is hidden."""
        shares = {number: self._seen[number] / self._whole[number] for number in range(1, len(self._whole))}
        return {number: share for number, share in shares.items() if share < 1}

    def count(self, code: int) -> int:
        """Things of this code on the board."""
        return self._code_of[1:].count(code)

    def _window(self, shape: Silhouette, margin: float = 0.0) -> Window | None:
        left, top, right, bottom = shape.bounds
        columns = range_of(left - margin, right + margin, self.metres_per_pixel)
        rows = range_of(top - margin, bottom + margin, self.metres_per_pixel)
        height, width = self.codes.shape
        rows = slice(max(rows.start, 0), min(rows.stop, height))
        columns = slice(max(columns.start, 0), min(columns.stop, width))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def _whole_pixels(self, shape: Silhouette, pixels: int) -> float:
        left, top, right, bottom = shape.bounds
        height, width = self.codes.shape
        if min(left, top) >= 0 and right <= width * self.metres_per_pixel and bottom <= height * self.metres_per_pixel:
            return pixels
        return max(area(shape) / self.metres_per_pixel**2, pixels)

    def _grown(self, inside: Bools, gap: float) -> Bools:
        steps = math.ceil(gap / self.metres_per_pixel)
        if steps == 0:
            return inside
        kernel = np.ones((2 * steps + 1, 2 * steps + 1), np.uint8)
        return np.asarray(cv2.dilate(inside.view(np.uint8), kernel), bool)

    def _met(self, window: Window, inside: Bools) -> dict[int, int]:
        """Instance id → pixels of it inside."""
        under = self.instances[window][inside]
        if not under.any():
            return {}
        numbers, counts = np.unique(under[under > 0], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    def _spares(self, number: int, count: int) -> bool:
        left = self._seen[number] - count
        return left >= MIN_PIXELS and left / self._whole[number] >= MIN_VISIBLE

    def _hide(self, hidden: dict[int, int]) -> None:
        for number, count in hidden.items():
            self._seen[number] -= count
