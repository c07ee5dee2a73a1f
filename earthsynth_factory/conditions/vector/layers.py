"""Features as they lie in a vector file, read by OGR: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, OpenStreetMap extracts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

from earthsynth_factory.conditions.vector.projection import Shapes
from earthsynth_factory.conditions.vector.tags import other_tags
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import DEGREES

MAX_FEATURES = 3_000_000
"""Features of a file that are read; more want an `area`."""

OTHER_TAGS = "other_tags"
"""Where OGR's OpenStreetMap driver puts the tags that have no column of their own."""

HEAD = 4096
"""Bytes by which a file is known."""

UNSORTED = "OSM_USE_CUSTOM_INDEXING"
"""The option of OGR that its error names where nodes are not sorted."""

Area = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


@dataclass(frozen=True, eq=False)
class Layer:
    """shapes: (N,) geometries in `system`. tags: tag → a value a feature, None if it has none."""

    name: str
    system: CRS
    shapes: Shapes
    tags: dict[str, list[Any]]


def read_layers(path: Path, tags: Sequence[str], layers: frozenset[str] | None, area: Area | None) -> list[Layer]:
    """The features of the layers named (None: of all) that reach into the area, with these tags.

    Raises SourceError if the file cannot be read, says not where it lies, or has too many features.
    """
    try:
        import pyogrio
    except ImportError:
        raise SourceError(f"{path}: vector files need pyogrio; pip install 'earthsynth-factory[geo]'") from None
    if not path.exists():
        raise SourceError(f"{path}: no such file; check `path` (it starts at the recipe's folder)")
    _refuse_what_leads_elsewhere(path)
    try:
        known = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        chosen = [name for name in known if layers is None or name in layers]
        if not chosen:
            raise SourceError(f"{path}: has the layers {', '.join(known) or 'none'}; the rules name others")
        return _read_in_any_order(path, chosen, tags, area)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, CRSError, ValueError, RuntimeError) as error:
        raise SourceError(f"{path}: not readable as vectors ({error}); fetch or write the file again") from error


def _refuse_what_leads_elsewhere(path: Path) -> None:
    """OGR knows files by content. XML may name other files and addresses, which it would open; so may packed files."""
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            head = file.read(HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    osm = path.suffix.lower() == ".osm" and b"<osm" in head and b"OGRVRT" not in head
    if head.startswith((b"<", b"PK\x03\x04", b"\x1f\x8b")) and not osm:
        raise SourceError(
            f"{path}: packed files and XML are not read, since they may lead elsewhere; write it as GeoPackage"
        )


def _read_in_any_order(path: Path, names: Sequence[str], tags: Sequence[str], area: Area | None) -> list[Layer]:
    """OGR's own index of nodes is the faster one, and wants them sorted: extracts that were edited often are not."""
    import pyogrio

    try:
        return list(_read(path, names, tags, area))
    except pyogrio.errors.FeatureError as error:
        if UNSORTED not in str(error):
            raise SourceError(f"{path}: a feature cannot be read ({error}); write the file again") from error
    pyogrio.set_gdal_config_options({UNSORTED: "NO"})
    try:
        return list(_read(path, names, tags, area))
    except pyogrio.errors.FeatureError as error:
        raise SourceError(f"{path}: a feature cannot be read ({error}); write the file again") from error
    finally:
        pyogrio.set_gdal_config_options({UNSORTED: None})


def _read(path: Path, names: Sequence[str], tags: Sequence[str], area: Area | None) -> Iterator[Layer]:
    import pyogrio

    left = MAX_FEATURES
    for name in names:
        info = pyogrio.read_info(path, layer=name)
        system = _system(path, name, info["crs"])
        fields = {str(field): str(field) for field in info["fields"]}
        wanted = [field for field in fields if field in tags or field == OTHER_TAGS]
        bounds = None if area is None else transform_bounds(DEGREES, system, *area, densify_pts=21)
        _, _, geometry, columns = pyogrio.raw.read(path, layer=name, columns=wanted, bbox=bounds, max_features=left + 1)
        left -= len(geometry)
        if left < 0:
            raise SourceError(f"{path}: over {MAX_FEATURES} features; name an `area` to be read of it")
        shapes = shapely.from_wkb(geometry, on_invalid="ignore")
        yield Layer(name, system, np.asarray(shapes, object), _tags(dict(zip(wanted, columns, strict=True)), tags))


def _system(path: Path, layer: str, text: str | None) -> CRS:
    if not text:
        raise SourceError(f"{path}: layer {layer!r} has no CRS; write the file again with one, so that it has a place")
    return CRS.from_user_input(text)


def _tags(columns: dict[str, Any], wanted: Sequence[str]) -> dict[str, list[Any]]:
    """The wanted ones that are columns, or stand in the column of all others."""
    found = {name: [_plain(value) for value in values.tolist()] for name, values in columns.items() if name in wanted}
    if OTHER_TAGS in columns:
        rows = [other_tags(text) for text in columns[OTHER_TAGS].tolist()]
        for name in wanted:
            if name not in found:
                found[name] = [row.get(name) for row in rows]
    return found


def _plain(value: Any) -> Any:
    """What SQLite takes: a number, a text or None."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    return value if isinstance(value, int | float | str) else str(value)
