"""Small maps as GeoJSON or GeoPackage, and sources over them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from earthsynth_factory.conditions.vector import VectorSpec
from earthsynth_factory.conditions.vector.spec import VectorSource
from tests.conditions.folders import context

TOWN = Path(__file__).parents[3] / "recipes" / "town.geojson"
REAL = Path(__file__).parents[2] / "data" / "osm" / "hatfield.osm.pbf"
"""470 × 225 m of Hatfield: © OpenStreetMap contributors, ODbL 1.0 (tests/data/CREDITS.md)."""

Feature = tuple[dict[str, Any], Any]
"""Tags and geometry."""


def geojson(path: Path, features: Sequence[Feature]) -> Path:
    """A FeatureCollection in longitude and latitude."""
    found = [{"type": "Feature", "properties": tags, "geometry": shapely.geometry.mapping(s)} for tags, s in features]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": found}))
    return path


def geopackage(path: Path, features: Sequence[Feature], crs: str | None, layer: str = "map") -> Path:
    """A layer in any system, or in none."""
    pyogrio = pytest.importorskip("pyogrio", reason="vector files need pyogrio")
    names = sorted({name for tags, _ in features for name in tags})
    columns = [np.array([tags.get(name) for tags, _ in features], object) for name in names]
    shapes = shapely.to_wkb(np.array([shape for _, shape in features], object))
    kind = features[0][1].geom_type if len({s.geom_type for _, s in features}) == 1 else "Unknown"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a layer without a system, which is what a test is about
        options = {"layer": layer, "crs": crs, "geometry_type": kind, "driver": "GPKG", "append": path.exists()}
        pyogrio.raw.write(path, shapes, columns, names, **options)
    return path


def source(path: Path, shares: dict[str, float] | None = None, **spec: Any) -> VectorSource:
    """The source of a map. With `rules` left out, buildings and roads of 6 m."""
    pytest.importorskip("pyogrio", reason="vector files need pyogrio")
    built = VectorSpec(kind="vector", path=str(path), **spec).build(context(path.parent, shares=shares))
    assert isinstance(built, VectorSource)
    return built
