"""The system in metres that tiles lie in: the file's own if its metres are true, else the UTM zone of the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.crs import CRS

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import DEGREES, Georeference, crs_name, moved

if TYPE_CHECKING:
    from collections.abc import Sequence

Shapes = npt.NDArray[np.object_]
"""(N,) shapely geometries."""

TRUE = 0.002
"""A system's metres are true if they differ from those on the ground by less than this share (UTM: 0.0004 to 0.001)."""

WIDEST = 12.0
"""Degrees from west to east. That wide, metres of a UTM zone are off those on the ground by up to half a percent."""


def metric_system(system: CRS, bounds: Sequence[float]) -> CRS:
    """bounds: left, bottom, right, top in `system`. Raises SourceError if that is no place on the globe, or too wide."""
    centre = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    if system.is_projected and system.units_factor[1] == 1.0:
        here = Georeference(system, Affine(1, 0, centre[0], 0, -1, centre[1]))
        ground = here.metres_per_pixel(1, 1)
        if ground is not None and abs(ground - 1) < TRUE:
            return system
    longitude, latitude = (float(values[0]) for values in moved([centre[0]], [centre[1]], system, DEGREES))
    if not (np.isfinite(longitude) and abs(latitude) <= 90):
        raise SourceError(
            f"{centre[0]:g}, {centre[1]:g} in {crs_name(system)} is no place on the globe; is it that system?"
        )
    ends = moved([bounds[0], bounds[2]], [centre[1]] * 2, system, DEGREES)[0]
    if abs(ends[1] - ends[0]) > WIDEST and not _polar(latitude):
        raise SourceError(
            f"it reaches from {ends[0]:g} to {ends[1]:g} degrees east, too far for one system in metres; name an `area` of "
            f"at most {WIDEST:g} degrees"
        )
    return CRS.from_epsg(_zone(longitude, latitude))


def _polar(latitude: float) -> bool:
    """Whether UTM's zones end before there."""
    return latitude >= 84 or latitude <= -80


def _zone(longitude: float, latitude: float) -> int:
    """EPSG code of the UTM zone, near a pole that of the polar system."""
    if _polar(latitude):
        return 32661 if latitude > 0 else 32761
    zone = int((longitude + 180) % 360 // 6) + 1
    return (32600 if latitude >= 0 else 32700) + zone


def reprojected(shapes: Shapes, source: CRS, target: CRS) -> Shapes:
    """The shapes in another system, without heights; None if a corner lies nowhere in it."""
    flat = shapely.force_2d(shapes)
    points, owner = shapely.get_coordinates(flat, return_index=True)
    if source != target and len(points):
        points = np.column_stack(moved(points[:, 0].tolist(), points[:, 1].tolist(), source, target))
    lost = np.unique(owner[~np.isfinite(points).all(axis=1)])
    points[~np.isfinite(points)] = 0
    found: Shapes = shapely.set_coordinates(flat, points)
    found[lost] = None
    return found
