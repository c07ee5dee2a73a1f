"""Vector files of strangers, read by OGR: GeoPackage, Shapefile, FlatGeobuf, GeoJSON, OpenStreetMap extracts.

OGR knows files by content and follows what some of them name; those are refused before it opens them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import DEGREES, moved
from earthsynth_factory.io.log import LOGGER

MAX_FEATURES = 3_000_000
"""Features of a file that are read."""

HEAD = 4096
"""Bytes by which a file is known."""

UNSORTED = "OSM_USE_CUSTOM_INDEXING"
"""The option of OGR that its error names where nodes are not sorted."""

Shapes = npt.NDArray[np.object_]
"""(N,) shapely geometries, None if one cannot be read."""

Area = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


@dataclass(frozen=True, eq=False)
class VectorLayer:
    """shapes: (N,) geometries in `system`, None if the file says none. columns: (N,) each, by name."""

    name: str
    system: CRS | None
    shapes: Shapes
    columns: dict[str, npt.NDArray[Any]]


def read_vector_layers(
    path: Path, layers: Set[str] | None = None, columns: Set[str] | None = None, area: Area | None = None
) -> list[VectorLayer]:
    """The features of the layers named (None: of all) that reach into the area, with the columns named (None: with all).

    Raises SourceError if the file cannot be read, has none of the layers, or too many features.
    """
    try:
        import pyogrio
    except ImportError:
        raise SourceError(f"{path}: vector files need pyogrio; pip install 'earthsynth-factory[geo]'") from None
    if not path.exists():
        raise SourceError(f"{path}: no such file; check the path (one in a recipe starts at the recipe's folder)")
    _refuse_what_leads_elsewhere(path)
    with _told_as_ours(path):
        known = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        chosen = [name for name in known if layers is None or name in layers]
        if not chosen:
            raise SourceError(f"{path}: has none of the layers asked for; there are: {', '.join(known) or 'none'}")
        return _read_in_any_order(path, chosen, columns, area)


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


@contextmanager
def _told_as_ours(path: Path) -> Iterator[None]:
    """Whatever OGR finds wrong, as one error of ours; what it only warns of, by the file's name."""
    import pyogrio

    damaged = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, CPLE_BaseError, RasterioError)
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            yield
    except (*damaged, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        said = str(error).strip() or type(error).__name__
        raise SourceError(f"{path}: not readable as vectors ({said}); fetch or write the file again") from error
    for text in dict.fromkeys(str(one.message) for one in heard):
        LOGGER.warning("%s: %s", path.name, text.replace(str(path), "it"))


def _refuse_what_leads_elsewhere(path: Path) -> None:
    """XML may name other files and addresses, which OGR would open; so may packed files."""
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


def _read_in_any_order(path: Path, layers: list[str], columns: Set[str] | None, area: Area | None) -> list[VectorLayer]:
    """OGR's own index of nodes is the faster one, and wants them sorted: extracts that were edited often are not."""
    import pyogrio

    try:
        return list(_read(path, layers, columns, area))
    except pyogrio.errors.FeatureError as error:
        if UNSORTED not in str(error):
            raise
    pyogrio.set_gdal_config_options({UNSORTED: "NO"})
    try:
        return list(_read(path, layers, columns, area))
    finally:
        pyogrio.set_gdal_config_options({UNSORTED: None})


def _read(path: Path, layers: list[str], columns: Set[str] | None, area: Area | None) -> Iterator[VectorLayer]:
    import pyogrio

    left = MAX_FEATURES
    for name in layers:
        info = pyogrio.read_info(path, layer=name)
        system = CRS.from_user_input(info["crs"]) if info["crs"] else None
        wanted = [str(field) for field in info["fields"] if columns is None or str(field) in columns]
        bounds = None if area is None or system is None else transform_bounds(DEGREES, system, *area, densify_pts=21)
        _, _, geometry, values = pyogrio.raw.read(path, layer=name, columns=wanted, bbox=bounds, max_features=left + 1)
        left -= len(values[0] if geometry is None else geometry)
        if left < 0:
            raise SourceError(f"{path}: over {MAX_FEATURES} features; cut it, or name an `area` to be read of it")
        if geometry is not None:
            shapes = np.asarray(shapely.from_wkb(geometry, on_invalid="ignore"), object)
            yield VectorLayer(name, system, shapes, dict(zip(wanted, values, strict=True)))
