"""Outlines out of vector geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earthsynth_factory.geometry.given import Flat, one_ring

if TYPE_CHECKING:
    from shapely import Geometry


def shape_polygons(geometry: Geometry) -> list[Flat]:
    """Every polygon in it as one line around, holes led to by cuts. Raises ValueError if there is none."""
    import numpy as np
    import shapely  # takes a tenth of a second to import

    parts = [part for part in _parts(geometry) if part.geom_type == "Polygon" and not part.is_empty]
    if not parts:
        raise ValueError(f"a {geometry.geom_type if geometry is not None else 'missing geometry'}, no polygon")
    found = []
    for part in parts:
        assert isinstance(part, shapely.Polygon)
        rings = (part.exterior, *part.interiors)
        found.append(one_ring([tuple(np.asarray(ring.coords)[:-1, :2].ravel().tolist()) for ring in rings]))
    return found


def _parts(geometry: Geometry) -> list[Geometry]:
    import shapely

    flat = list(shapely.get_parts(geometry))
    nested = any(part.geom_type.startswith(("Multi", "GeometryCollection")) for part in flat)
    return [one for part in flat for one in _parts(part)] if nested else flat
