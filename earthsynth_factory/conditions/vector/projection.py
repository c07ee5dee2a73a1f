"""The system in metres that tiles lie in: the file's own if its metres are true, else the UTM zone of the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import DEGREES, Georeference, crs_name, moved

if TYPE_CHECKING:
    from collections.abc import Sequence

TRUE = 0.002
"""A system's metres are true if they differ from those on the ground by less than this share (UTM: 0.0004 to 0.001)."""

WIDEST = 12.0
"""Degrees from west to east. That wide, metres of a UTM zone are off those on the ground by up to half a percent."""

HALF = 180.0
"""Degrees. What reaches further round the globe is more likely two ends that meet behind."""


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
    west, east = moved([bounds[0], bounds[2]], [centre[1]] * 2, system, DEGREES)[0]
    if not _polar(latitude) and (west > east or west < -180 or east > 180 or east - west > HALF):
        raise SourceError(
            "it lies on both sides of the 180th meridian; give it as two sources, each with an `area` on one side of it"
        )
    if east - west > WIDEST and not _polar(latitude):
        raise SourceError(
            f"it reaches from {west:g} to {east:g} degrees east, too far for one system in metres; name an `area` of at most "
            f"{WIDEST:g} degrees"
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
