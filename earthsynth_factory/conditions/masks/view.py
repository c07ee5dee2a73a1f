"""A view of a map: which source pixel each output pixel shows. One geometry for mask, instances and picture.

Maps of ids are sampled by nearest neighbour only; a picture between its pixels, and averaged if it shrinks.

Source positions are continuous, (y, x) in source pixels, a pixel's centre at +0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import Image
from earthsynth_factory.domain.spec import Field, Span, Spec

Number = TypeVar("Number", bound=np.generic)
Other = TypeVar("Other", bound=np.generic)
Terms = npt.NDArray[np.floating]

STRIP_PIXELS = 1 << 14
"""Output pixels whose positions are computed at a time."""


class Variants(Spec):
    """How a mask may be varied. Resampling is nearest neighbour, so no variant invents a class."""

    crop: Literal["target", "anywhere", "centre"] = "target"
    """`target`: so that something of the wanted category is inside; `anywhere`: uniformly; `centre`: never moved."""

    rescale: Span = Field(default=(1.0, 1.0))
    """Factor by which masks of unknown scale are enlarged. Masks that know theirs are brought to the wanted one."""

    mirror: bool = True
    """Mirror every other draw."""

    rotate: Literal["none", "quarter", "free"] = "quarter"
    """`quarter`: by 0, 90, 180 or 270 degrees; `free`: by any angle, if the mask is large enough for it."""

    pad: bool = False
    """Let images reach beyond the mask, with background there. Otherwise a mask that is too small is passed over."""


@dataclass(frozen=True, slots=True, eq=False)
class _Positions:
    """Source y and x of pixels in rows and columns: what the row (height,) gives plus what the column (width,) gives."""

    row_y: Terms
    row_x: Terms
    column_y: Terms
    column_x: Terms

    def strips(self) -> Iterator[tuple[slice, Terms, Terms]]:
        """Rows, and y and x of their pixels, (rows, width) each: a strip at a time stays in the processor's cache."""
        rows = max(1, STRIP_PIXELS // len(self.column_y))
        for top in range(0, len(self.row_y), rows):
            part = slice(top, top + rows)
            yield part, self.row_y[part, None] + self.column_y, self.row_x[part, None] + self.column_x

    def bounds(self) -> tuple[float, float, float, float]:
        """Least y and x, greatest y and x. They rise or fall along every line, so that the corners are outermost."""
        y = self.row_y[[0, -1], None] + self.column_y[[0, -1]]
        x = self.row_x[[0, -1], None] + self.column_x[[0, -1]]
        return float(y.min()), float(x.min()), float(y.max()), float(x.max())


@dataclass(frozen=True, slots=True)
class MaskView:
    """height × width output pixels around a source position. step: source pixels per output pixel; angle: radians."""

    y: float
    x: float
    height: int
    width: int
    step: float = 1.0
    angle: float = 0.0
    mirror: bool = False

    def reach(self) -> tuple[float, float]:
        """Half the extent that the view takes in the source, along y and x, in source pixels."""
        cos, sin = abs(math.cos(self.angle)), abs(math.sin(self.angle))
        reach_y = self.step * (sin * self.width + cos * self.height) / 2
        return reach_y, self.step * (cos * self.width + sin * self.height) / 2

    def sample(self, source: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """(height, width), dtype of the (H, W) source; 0 if the view reaches beyond it."""
        seen = np.empty((self.height, self.width), source.dtype)
        self._fill([(seen, source)])
        return seen

    def sample_both(
        self, one: npt.NDArray[Number], other: npt.NDArray[Other]
    ) -> tuple[npt.NDArray[Number], npt.NDArray[Other]]:
        """As `sample`, of two sources of one shape."""
        size = (self.height, self.width)
        seen = np.empty(size, one.dtype), np.empty(size, other.dtype)
        self._fill([(seen[0], one), (seen[1], other)])
        return seen

    def _fill(self, seen_of: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> None:
        """Each first array, (height, width), shows of its second one, (H, W) all, what `sample` says."""
        height, width = seen_of[0][1].shape
        positions = self._positions()
        top, left, bottom, right = positions.bounds()
        inner = top >= 0 and left >= 0 and bottom < height and right < width
        for rows, y, x in positions.strips():
            places = y.astype(np.int32)  # a mask has fewer pixels than an int32 counts
            places *= width
            places += x.astype(np.int32)
            indices = places.astype(np.intp)
            outside = None if inner else (y < 0) | (y >= height) | (x < 0) | (x >= width)
            for seen, source in seen_of:
                seen[rows] = source.ravel().take(indices, mode="clip")
                if outside is not None:
                    seen[rows][outside] = 0

    def sample_picture(self, source: Image) -> Image:
        """(height, width, 3) of a picture (H, W, 3) at the places that `sample` looks at; its edge goes on beyond it.

        Where the view copies pixels one by one, so does this.
        """
        shrink = max(1, int(self.step))
        positions = self._positions()
        bounds = positions.bounds()
        top, left = (max(0, math.floor(first) - shrink) for first in bounds[:2])
        bottom, right = (math.ceil(last) + shrink for last in bounds[2:])
        part = source[min(top, source.shape[0] - 1) : bottom, min(left, source.shape[1] - 1) : right]
        if shrink > 1:
            size = max(1, part.shape[1] // shrink), max(1, part.shape[0] // shrink)
            part = cv2.resize(part[: size[1] * shrink, : size[0] * shrink], size, interpolation=cv2.INTER_AREA)
        across, down = (np.empty((self.height, self.width), np.float32) for _ in range(2))
        for rows, y, x in positions.strips():
            # cv2 counts from pixel centres, we from edges
            across[rows], down[rows] = (x - left) / shrink - 0.5, (y - top) / shrink - 0.5
        sampled = cv2.remap(part, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(sampled, np.uint8)

    def _positions(self) -> _Positions:
        """Of every output pixel's centre."""
        v = np.arange(self.height) + 0.5 - self.height / 2
        u = (np.arange(self.width) + 0.5 - self.width / 2) * (-1 if self.mirror else 1)
        cos, sin = self.step * math.cos(self.angle), self.step * math.sin(self.angle)
        return _Positions(self.y + cos * v, self.x - sin * v, sin * u, cos * u)

    def shows(self, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the source pixels have their centre inside the view."""
        dy, dx = rows + 0.5 - self.y, columns + 0.5 - self.x
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        inside_u = np.abs(cos * dx + sin * dy) <= self.step * self.width / 2
        return inside_u & (np.abs(cos * dy - sin * dx) <= self.step * self.height / 2)

    def text(self) -> dict[str, str | int | float]:
        """The view as plain values, for an origin's detail; unrounded, so that it can be taken again."""
        return {"y": self.y, "x": self.x, "step": self.step, "angle": self.angle, "mirror": int(self.mirror)}


def choose_view(
    variants: Variants,
    shape: tuple[int, int],
    size: tuple[int, int],
    step: float,
    near: tuple[float, float] | None,
    rng: np.random.Generator,
) -> MaskView | None:
    """A view of `size` (height, width) into a source of `shape`, at `step`; None if the source is too small for it.

    near: a source position (y, x) that the view is to hold, or None for anywhere. A free turn that would reach beyond
    the source becomes a quarter turn.
    """
    mirror = bool(variants.mirror and rng.random() < 0.5)
    free, quarter = rng.uniform(0, 2 * math.pi), int(rng.integers(4)) * math.pi / 2
    jitter_y, jitter_x = rng.random(), rng.random()
    angles = {"none": (0.0,), "quarter": (quarter,), "free": (free, quarter)}[variants.rotate]
    for angle in angles:
        view = MaskView(0.0, 0.0, size[0], size[1], step, angle, mirror)
        reach_y, reach_x = view.reach()
        fits = 2 * reach_y <= shape[0] + 1e-6 and 2 * reach_x <= shape[1] + 1e-6
        if not (fits or (variants.pad and angle == angles[-1])):
            continue
        if variants.crop == "centre":
            near, jitter_y, jitter_x = None, 0.5, 0.5
        y = _centre(reach_y, shape[0], near and near[0], jitter_y, step)
        x = _centre(reach_x, shape[1], near and near[1], jitter_x, step)
        return MaskView(y, x, size[0], size[1], step, angle, mirror)
    return None


def stretch(source: npt.NDArray[Number], height: int, width: int) -> npt.NDArray[Number]:
    """The whole (H, W) source as (height, width), nearest; a plain copy if the sizes agree."""
    rows = (2 * np.arange(height) + 1) * source.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * source.shape[1] // (2 * width)
    return source[np.ix_(rows, columns)]


def _centre(reach: float, extent: int, near: float | None, jitter: float, step: float) -> float:
    """Where a view of half-extent `reach` may centre: inside the source if it can be, and with `near` in it."""
    low, high = sorted((reach, extent - reach))  # swapped if padded: the whole source is in it
    if near is not None:
        low, high = min(max(low, near - 0.9 * reach), high), max(min(high, near + 0.9 * reach), low)
    place = low + jitter * (high - low)
    # On the source's pixel grid, so that a view at step 1 copies pixels one by one.
    return reach + math.floor(place - reach) if step == 1.0 else place
