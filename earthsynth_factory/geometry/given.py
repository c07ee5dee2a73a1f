"""What a source drew of an object: its own corners, kept as they were given, moved and cut with the image.

Coordinates are of the convention in the package's docstring. Cutting is exact (shapely); what lies inside is not touched, so
that corners that were given come out again to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.geometry.polygons import joined_rings

if TYPE_CHECKING:
    from shapely import Geometry, Polygon

Flat = tuple[float, ...]
"""x, y, x, y, … in pixels."""

Box = tuple[float, float, float, float]
"""left, top, width, height in pixels."""

SLACK = 0.02
"""A box may reach beyond the image by this many pixels: shares of six digits are no more exact in a large image."""


@dataclass(frozen=True, slots=True)
class Given:
    """An object as its source drew it, in pixels of its image. One of the three at least is there.

    polygons: parts, which are united; a hole is led to by a cut of no width. box: upright. corners: x1, y1 … x4, y4 of an
    oriented box, in the source's order. masked: the source gave (or a reader made) pixels beside it, which are the truth of
    the shape; else the pixels were filled from what stands here.
    """

    polygons: tuple[Flat, ...] = ()
    box: Box | None = None
    corners: Flat | None = None
    masked: bool = False

    @classmethod
    def of_polygons(cls, rings: Iterable[Sequence[float]], box: Box | None = None) -> Given:
        """Polygons, and the box that the source has beside them."""
        return cls(polygons=tuple(tuple(map(float, ring)) for ring in rings), box=box)

    @classmethod
    def of_box(cls, left: float, top: float, width: float, height: float, masked: bool = False) -> Given:
        """An upright box."""
        return cls(box=(float(left), float(top), float(width), float(height)), masked=masked)

    @classmethod
    def of_corners(cls, corners: Iterable[float], masked: bool = False) -> Given:
        """An oriented box: four corners, x1, y1 … x4, y4."""
        return cls(corners=tuple(map(float, corners)), masked=masked)

    def rings(self) -> tuple[Flat, ...]:
        """The outline that pixels are filled from: the polygons, else the oriented box, else the upright one."""
        if self.polygons:
            return self.polygons
        if self.corners:
            return (self.corners,)
        return (rectangle_ring(*self.box),) if self.box else ()

    def bounds(self) -> Box:
        """The upright box: the source's own, else the tightest around the outline."""
        if self.box:
            return self.box
        points = np.concatenate([np.reshape(ring, (-1, 2)) for ring in self.rings()])
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, top, right - left, bottom - top

    def fields(self) -> dict[str, Any]:
        """As plain values, for JSON; what is not there is left out."""
        values = {"polygons": self.polygons, "box": self.box, "corners": self.corners, "masked": self.masked}
        return {name: value for name, value in values.items() if value}

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Given:
        """The reverse of `fields`. Raises TypeError, KeyError or ValueError if it is no such thing."""
        box, corners = data.get("box"), data.get("corners")
        if box is not None:
            left, top, width, height = map(float, box)
            box = (left, top, width, height)
        found = cls(
            tuple(tuple(map(float, ring)) for ring in data.get("polygons", ())),
            box,
            tuple(map(float, corners)) if corners else None,
            bool(data.get("masked", False)),
        )
        if not found.rings() or any(len(ring) < 6 or len(ring) % 2 for ring in found.rings()):
            raise ValueError("neither polygons, nor a box, nor corners")
        return found


@dataclass(frozen=True, slots=True)
class Cut:
    """A window of an image: left, top, right, bottom in pixels of it; width, height: the whole image's."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int

    @classmethod
    def whole(cls, width: int, height: int) -> Cut:
        """The image itself."""
        return cls(0, 0, width, height, width, height)

    def open_sides(self) -> tuple[float, float, float, float]:
        """As left … bottom, but endless beyond the image's own borders."""
        return (
            self.left if self.left > 0 else -np.inf,
            self.top if self.top > 0 else -np.inf,
            self.right if self.right < self.width else np.inf,
            self.bottom if self.bottom < self.height else np.inf,
        )


def cut_to(given: Given, window: Cut) -> Given | None:
    """What of it lies in the window, in the window's own pixels; None if nothing does.

    Polygons and boxes end at the window. An oriented box that the window's border cuts becomes the smallest rectangle
    around its part inside; at the image's own border it is left as it was given, as datasets of oriented boxes have it.
    """
    sides = (window.left, window.top, window.right, window.bottom)
    moved = Given(
        polygons=tuple(part for ring in given.polygons for part in _polygon(ring, sides)),
        box=_box(given.box, sides) if given.box else None,
        corners=_corners(given.corners, window.open_sides()) if given.corners else None,
        masked=given.masked,
    )
    lost = given.polygons and not moved.polygons
    if lost or not moved.rings():
        return None
    return _shifted(moved, -window.left, -window.top) if window.left or window.top else moved


def rectangle_ring(left: float, top: float, width: float, height: float) -> Flat:
    """The four corners of an upright box, clockwise from the upper left."""
    right, bottom = left + width, top + height
    return (left, top, right, top, right, bottom, left, bottom)


def shared_area(one: Box, other: Box) -> float:
    """Square pixels that two boxes have in common."""
    spans = [
        max(0.0, min(one[axis] + one[axis + 2], other[axis] + other[axis + 2]) - max(one[axis], other[axis]))
        for axis in (0, 1)
    ]
    return spans[0] * spans[1]


def one_ring(rings: Sequence[Flat]) -> Flat:
    """All parts as one closed line, joined by cuts of no width, for formats that hold no more than one."""
    line = np.reshape(rings[0], (-1, 2))
    for ring in rings[1:]:
        line = joined_rings(line, np.reshape(ring, (-1, 2)))
    return tuple(line.ravel().tolist())


def is_upright(ring: Sequence[float], box: Box) -> bool:
    """Whether a polygon is nothing but the rectangle of that box."""
    left, top, width, height = box
    corners = {(round(x, 3), round(y, 3)) for x, y in zip(ring[0::2], ring[1::2], strict=False)}
    wanted = {(round(x, 3), round(y, 3)) for x in (left, left + width) for y in (top, top + height)}
    return len(ring) in (8, 10) and corners == wanted


def _shifted(given: Given, right: float, down: float) -> Given:
    def moved(flat: Flat) -> Flat:
        return tuple(number + (down if place % 2 else right) for place, number in enumerate(flat))

    box = given.box
    return Given(
        tuple(map(moved, given.polygons)),
        (box[0] + right, box[1] + down, box[2], box[3]) if box else None,
        moved(given.corners) if given.corners else None,
        given.masked,
    )


def _box(box: Box, sides: tuple[float, float, float, float]) -> Box | None:
    left, top, width, height = box
    inside = left >= sides[0] - SLACK and top >= sides[1] - SLACK
    if inside and left + width <= sides[2] + SLACK and top + height <= sides[3] + SLACK:
        return box
    x, y = max(left, sides[0]), max(top, sides[1])
    right, bottom = min(left + width, sides[2]), min(top + height, sides[3])
    return (x, y, right - x, bottom - y) if right > x and bottom > y else None


def _polygon(ring: Flat, sides: tuple[float, float, float, float]) -> list[Flat]:
    return [ring] if _within(ring, sides) else [_flat(part) for part in _parts(_intersection(ring, sides))]


def _corners(corners: Flat, sides: tuple[float, float, float, float]) -> Flat | None:
    if _within(corners, sides):
        return corners
    inside = _intersection(corners, sides)
    if inside.area == 0:
        return None
    around = np.asarray(inside.minimum_rotated_rectangle.exterior.coords)[:4]
    return tuple(_led_by(around, np.reshape(corners, (-1, 2))).ravel().tolist())


def _led_by(around: npt.NDArray[np.float64], corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rectangle turned about and begun as the source's: its first corner may be the object's front."""
    if _winding(around) * _winding(corners) < 0:
        around = around[::-1]
    first = int(np.square(around - corners[0]).sum(axis=1).argmin())
    return np.roll(around, -first, axis=0)


def _winding(points: npt.NDArray[np.float64]) -> float:
    following = np.roll(points, -1, axis=0)
    return float(np.sum(points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]))


def _within(flat: Flat, sides: tuple[float, float, float, float]) -> bool:
    x, y = flat[0::2], flat[1::2]
    return min(x) >= sides[0] and min(y) >= sides[1] and max(x) <= sides[2] and max(y) <= sides[3]


def _intersection(ring: Flat, sides: tuple[float, float, float, float]) -> Geometry:
    import shapely  # takes a tenth of a second to import

    points = np.reshape(ring, (-1, 2))
    # Endless sides end where the ring does, with room to spare.
    far = np.array([*(points.min(axis=0) - 1), *(points.max(axis=0) + 1)])
    left, top, right, bottom = np.where(np.isfinite(sides), sides, far)
    shape = shapely.Polygon(points)
    valid = shape if shape.is_valid else shapely.make_valid(shape)
    return shapely.intersection(valid, shapely.box(left, top, right, bottom))


def _parts(found: Geometry) -> list[Polygon]:
    """The polygons among what an intersection gave; points and lines have no pixels."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(found))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


def _flat(part: Polygon) -> Flat:
    """One line around a polygon and, over cuts, its holes."""
    rings = [tuple(np.asarray(ring.coords)[:-1].ravel().tolist()) for ring in (part.exterior, *part.interiors)]
    return one_ring(rings)
