"""Where an image and its objects lie on the ground, for formats that maps are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import shapes

from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.condition import Origin
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.exports.shapes import drawn, patch, polygons
from earthsynth_factory.exports.walk import origin_fields
from earthsynth_factory.io.georeference import DEGREES, moved, on_ground

DIGITS = 8
"""Decimals of a degree that are written: about a millimetre."""

SIDE = 8
"""Points on each side of a footprint, since a straight side in one system bends in another."""


@dataclass(frozen=True, slots=True)
class GroundPlace:
    """name: the system's, `EPSG:…` or WKT. transform: column, row (edges) → x, y of the system."""

    name: str
    transform: Affine

    @property
    def crs(self) -> CRS:
        """Raises rasterio's CRSError if nothing has that name."""
        return _system(self.name)

    def points(self, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(N, 2) column, row → x, y."""
        return on_ground(self.transform, pixels)

    def degrees(self, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(N, 2) column, row → longitude, latitude on WGS 84."""
        points = self.points(pixels)
        if self.crs == DEGREES:
            return np.round(points, DIGITS)
        found = np.column_stack(moved(points[:, 0].tolist(), points[:, 1].tolist(), self.crs, DEGREES))
        return np.asarray(np.round(found, DIGITS))


@cache
def _system(name: str) -> CRS:
    return CRS.from_user_input(name)


def place_of(origin: Origin) -> GroundPlace | None:
    """Of a sample or a condition; None if it is not known."""
    found = origin_fields(origin)
    if not found.get("crs") or "transform" not in found:
        return None
    return GroundPlace(str(found["crs"]), Affine(*found["transform"]))


def ground_footprint(record: SampleRecord) -> shapely.Polygon:
    """The image's outline in pixels, corners clockwise from the upper left, with points between them."""
    corners = np.array([(0, 0), (record.width, 0), (record.width, record.height), (0, record.height), (0, 0)], float)
    steps = np.linspace(0, 1, SIDE, endpoint=False)[:, None]
    sides = [one + steps * (other - one) for one, other in pairwise(corners)]
    return shapely.Polygon(np.concatenate(sides))


def outline(record: SampleRecord, instance: Instance) -> shapely.Geometry:
    """An object's polygons in pixels, holes as such: as its source drew it, else along the edges of its mask's pixels."""
    if drawn(instance) is not None:
        parts = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in polygons(record, instance)]
        return shapely.union_all(shapely.make_valid(np.array(parts, object)))
    x, y = instance.box[:2]
    inside = patch(record, instance).astype(np.uint8)
    found = [_shape(one, x, y) for one, _ in shapes(inside, mask=inside > 0, connectivity=4)]
    return found[0] if len(found) == 1 else shapely.MultiPolygon(found)


def _shape(geometry: dict[str, Any], x: int, y: int) -> shapely.Polygon:
    shell, *holes = ([(column + x, row + y) for column, row in ring] for ring in geometry["coordinates"])
    return shapely.Polygon(shell, holes)


def on_map(shape: shapely.Geometry, place: GroundPlace, *, degrees: bool) -> dict[str, Any]:
    """Pixels → GeoJSON geometry in degrees, or in the place's own system; rings wound as RFC 7946 asks."""
    there = shapely.transform(shape, place.degrees if degrees else place.points)
    found: dict[str, Any] = shapely.geometry.mapping(shapely.orient_polygons(there))
    return found
