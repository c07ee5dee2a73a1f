"""Shapes as pieces of few corners: what looks at a piece takes bounded time, however many corners the shape has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from earthsynth_factory.geometry.clipping import Points, half_plane
from earthsynth_factory.io.vector_files import Shapes

MANY_CORNERS = 1000
"""An area with more is cut, so that a tile looks at those of its pieces alone that reach into it."""

STRETCH = 64
"""Corners of a stretch of a line. Widening takes longer the more often a line crosses itself: 2,000 times with this many."""

APART = 0.01
"""Metres. Corners of an area that is cut count as one if they lie within a square of this side: nobody surveys as finely."""

MOST_LEFT = 9 / 16
"""Share of the corners that either half of a cut may have: all pieces have hardly more than four times those of the shape."""

POLYGON = int(shapely.GeometryType.POLYGON)
ROUNDING = 1e-6
"""Share by which the area of a piece differs if it is mended that does not cross itself."""

Numbers = npt.NDArray[np.int64]


def single_parts(shapes: Shapes) -> tuple[Shapes, Numbers]:
    """The points, lines and areas that shapes (N,) are made of, and which shape each is a part of."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    while (shapely.get_type_id(parts) > POLYGON).any():
        parts, deeper = shapely.get_parts(parts, return_index=True)
        owner = owner[deeper]
    return parts, owner


def line_stretches(lines: Shapes) -> tuple[Shapes, Numbers]:
    """Lines (N,) as stretches that share their ends, and which line each is of."""
    long = shapely.get_num_coordinates(lines) > STRETCH
    pieces, owner = [lines[~long]], [np.flatnonzero(~long)]
    for number in np.flatnonzero(long).tolist():
        points = shapely.get_coordinates(lines[number])
        starts = range(0, len(points) - 1, STRETCH - 1)
        pieces.append(np.array([shapely.LineString(points[start : start + STRETCH]) for start in starts], object))
        owner.append(np.full(len(starts), number))
    return np.concatenate(pieces), np.concatenate(owner)


def area_pieces(areas: Shapes) -> tuple[Shapes, Numbers, Numbers]:
    """Areas (N,) in pieces, each mended if it crosses itself; which area each is of; and the areas that crossed themselves.

    What no cut makes smaller, as a comb with a hundred thousand teeth, stays whole and is not looked at: that would take
    hours. Painted, what lies inside of it an even number of times is outside.
    """
    many = shapely.get_num_coordinates(areas) > MANY_CORNERS
    outlines = [spaced_rings(area, APART) for area in areas[many]]
    cut = [[_polygon(piece) for piece in _divided(rings)] for rings in outlines]
    pieces = np.concatenate([areas[~many], *(np.array(some, object) for some in cut)])
    owner = np.concatenate([np.flatnonzero(~many), np.flatnonzero(many).repeat(list(map(len, cut)))])
    looked_at = np.flatnonzero(~_too_many(pieces))
    broken = looked_at[~shapely.is_valid(pieces[looked_at])]
    pieces[broken] = shapely.make_valid(pieces[broken], method="structure", keep_collapsed=False)
    # A cut leaves what lies on either side of a gap in one ring. That is mended too and no crossing, which shows in the area:
    # rings alone give the one side of a crossing with the sign against the other's.
    before, after = shapely.area(areas), np.bincount(owner, shapely.area(pieces), len(areas))
    before[many] = [_polygon(rings).area for rings in outlines]
    crossing = np.isin(np.arange(len(areas)), owner[broken]) & ~many
    return pieces, owner, np.flatnonzero(crossing | (many & (abs(after - before) > ROUNDING * after)))


def clipped(areas: Shapes, left: float, bottom: float, right: float, top: float) -> Shapes:
    """What of areas (N,) lies in a rectangle; not always valid, yet right to paint and to measure."""
    found, many = np.array(areas, object), _too_many(areas)
    found[~many] = shapely.clip_by_rect(areas[~many], left, bottom, right, top)
    sides = ((0, 1, left), (0, -1, right), (1, 1, bottom), (1, -1, top))
    for number in np.flatnonzero(many).tolist():  # GEOS takes minutes
        rings = [shapely.get_coordinates(ring)[:-1] for ring in shapely.get_rings(areas[number])]
        for axis, sign, limit in sides:
            rings = _half(rings, axis, sign, limit)
        found[number] = _polygon(rings)
    return found


def _too_many(areas: Shapes) -> npt.NDArray[np.bool_]:
    """Those that no cut made smaller. (Rings end where they begin: that much more than `MANY_CORNERS` a piece may have.)"""
    return np.asarray(shapely.get_num_coordinates(areas) > 2 * MANY_CORNERS)


def _polygon(rings: list[Points]) -> shapely.Polygon:
    return shapely.Polygon(rings[0], rings[1:]) if rings else shapely.Polygon()


def spaced_rings(area: shapely.Polygon, apart: float) -> list[Points]:
    """Its rings without their last corner, the shell first; of corners in a row that lie in one square of side `apart`, the
    first alone. Rings of fewer than three are left out; empty if the shell is.
    """
    rings = [shapely.get_coordinates(ring)[:-1] for ring in shapely.get_rings(area)]
    squares = [np.floor(ring / apart) for ring in rings]
    return _rings([ring[(at != np.roll(at, 1, axis=0)).any(axis=1)] for ring, at in zip(rings, squares, strict=True)])


def _rings(found: list[Points]) -> list[Points]:
    """A shell and holes, without those that are none."""
    return [ring for ring in found if len(ring) > 2] if found and len(found[0]) > 2 else []


def _half(rings: list[Points], axis: int, sign: int, limit: float) -> list[Points]:
    """What of a shell and holes lies right of (above) the limit, or left of it (below) if `sign` is −1."""
    return _rings([half_plane(ring, sign * (ring[:, axis] - limit)) for ring in rings])


def _divided(rings: list[Points]) -> Iterator[list[Points]]:
    """A shell and holes, halved until there are few corners or no cut is a gain."""
    halves = _halves(rings) if sum(map(len, rings)) > MANY_CORNERS else None
    if halves is not None:
        for half in halves:
            yield from _divided(half)
    elif rings:
        yield rings


def _halves(rings: list[Points]) -> list[list[Points]] | None:
    """Both sides of a cut with as many corners on either, across the longer side if that is a gain; None if none is."""
    points = np.concatenate(rings)
    most = MOST_LEFT * len(points)
    for axis in np.argsort(-np.ptp(points, axis=0)).tolist():
        middle = float(np.median(points[:, axis]))
        halves = [_half(rings, axis, sign, middle) for sign in (1, -1)]
        if all(sum(map(len, half)) <= most for half in halves):
            return halves
    return None
