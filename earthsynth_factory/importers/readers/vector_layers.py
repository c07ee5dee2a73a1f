"""Layers of outlines on the ground (GeoJSON, GeoPackage, Shapefile, FlatGeobuf): features with geometry and properties, and
the CRS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterio.crs import CRS
from rasterio.errors import CRSError

from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.importers.json_pieces import pieces

if TYPE_CHECKING:
    from shapely import Geometry, STRtree

SUFFIXES = (".geojson", ".json", ".gpkg", ".shp", ".fgb")

CLASS_KEYS = (
    "class",
    "class_name",
    "classname",
    "label",
    "category",
    "feature_type",
    "type_name",
    "landuse",
    "name",
    "type",
)
"""Properties that hold the class, the first that is there and says something; else the file's name does."""

NUMBER_KEYS = ("class_id", "classid", "category_id", "label_id")
"""Properties that hold a class's number, if no other says the class."""

KEPT = 8
"""Layers that a process keeps for the images to come."""

NO_CLASS = "no class"
"""The word of a feature whose class property says nothing, if those of others do."""

_NO = ("", "no", "0", "none", "null", "false", "nan")
_MAGIC = {".gpkg": b"SQLite format 3\0", ".shp": b"\x00\x00\x27\x0a", ".fgb": b"fgb\x03"}


@dataclass(frozen=True, eq=False)
class FileLayer:
    """crs: None if the file says none. geometries lie in `tree` in the order of `words`.

    flat: features without an area.
    """

    crs: CRS | None
    words: tuple[str, ...]
    tree: STRtree
    flat: int = 0

    def bounds(self) -> tuple[float, float, float, float] | None:
        """left, bottom, right, top in its CRS; None if it is empty."""
        import shapely

        return tuple(shapely.total_bounds(self.tree.geometries).tolist()) if len(self.words) else None


def is_vector_file(path: Path) -> bool:
    """Whether it is one of these formats, by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 12)
    except OSError:
        return False
    suffix = path.suffix.lower()
    return head.startswith(_MAGIC[suffix]) if suffix in _MAGIC else b'"FeatureCollection"' in head.replace(b" ", b"")


def read_layer(path: Path, taxonomy: Taxonomy) -> FileLayer:
    """Every feature of a file that has an area; the last files are kept. Raises `SourceError` if it cannot be read."""
    key = (path, path.stat().st_mtime_ns)
    if key not in _kept or _kept[key][0] is not taxonomy:
        _kept[key] = (taxonomy, _read(path, taxonomy))
        while len(_kept) > KEPT:
            del _kept[next(iter(_kept))]
    return _kept[key][1]


_kept: dict[tuple[Path, int], tuple[Taxonomy, FileLayer]] = {}


def _read(path: Path, taxonomy: Taxonomy) -> FileLayer:
    import shapely

    crs, features = _open(path)
    words, geometries, flat = list[str | None](), [], 0
    for about, geometry in features:
        if geometry is not None and shapely.get_dimensions(geometry) == 2:
            words.append(_word(about, taxonomy))
            geometries.append(geometry)
        else:
            flat += 1
    otherwise = NO_CLASS if any(words) else _from_name(path, taxonomy)
    return FileLayer(crs, tuple(word or otherwise for word in words), shapely.STRtree(geometries), flat)


def _word(about: Mapping[str, Any], taxonomy: Taxonomy) -> str | None:
    """A feature's class: a property that is called so, or one called as a category (`building=yes`)."""
    lower = {str(key).lower(): value for key, value in about.items()}
    for key in CLASS_KEYS:
        if key in lower and isinstance(lower[key], str) and taxonomy.find(lower[key]) is not None:
            return str(lower[key])
    for key, value in lower.items():
        if str(value).strip().lower() not in _NO and value is not None and taxonomy.find(key) is not None:
            return key
    said = [str(lower[key]) for key in CLASS_KEYS if str(lower.get(key) or "").strip().lower() not in _NO]
    said += [str(lower[key]) for key in NUMBER_KEYS if lower.get(key) is not None]
    return said[0] if said else None


def _from_name(path: Path, taxonomy: Taxonomy) -> str:
    """`geojson_buildings/img1.geojson` and `buildings.gpkg` say it themselves."""
    for name in (path.stem, path.parent.name):
        for token in name.replace("-", "_").split("_"):
            if taxonomy.find(token) is not None:
                return token
    return path.stem


def _open(path: Path) -> tuple[CRS | None, Iterator[tuple[Mapping[str, Any], Geometry | None]]]:
    return _geojson(path) if path.suffix.lower() in (".geojson", ".json") else _ogr(path)


def _geojson(path: Path) -> tuple[CRS | None, Iterator[tuple[Mapping[str, Any], Geometry | None]]]:
    import shapely
    from shapely.geometry import shape

    def features() -> Iterator[tuple[Mapping[str, Any], Geometry | None]]:
        for piece in pieces(path, "features"):
            try:
                geometry = shape(piece.value["geometry"]) if piece.value.get("geometry") else None
            except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError):
                geometry = None
            about = piece.value.get("properties")
            yield about if isinstance(about, dict) else {}, geometry

    return _crs_of_geojson(path), features()


def _crs_of_geojson(path: Path) -> CRS | None:
    """Its old `crs` member; without one it is longitude and latitude, as the standard has it."""
    import re

    with path.open("rb") as file:
        head = file.read(1 << 14)
    found = re.search(rb'"crs"\s*:\s*\{.*?"name"\s*:\s*"([^"]+)"\s*\}', head, re.DOTALL)
    try:
        return CRS.from_user_input(found[1].decode() if found else "OGC:CRS84")
    except (CRSError, UnicodeDecodeError):
        return None


def _ogr(path: Path) -> tuple[CRS | None, Iterator[tuple[Mapping[str, Any], Geometry | None]]]:
    """All layers of a file in the system of the first that says one."""
    from earthsynth_factory.io.vector_files import read_vector_layers, reprojected

    layers = read_vector_layers(path)
    crs = next((layer.system for layer in layers if layer.system is not None), None)

    def features() -> Iterator[tuple[Mapping[str, Any], Geometry | None]]:
        for layer in layers:
            shapes = reprojected(layer.shapes, layer.system, crs) if crs and layer.system else layer.shapes
            rows = zip(*layer.columns.values(), strict=True) if layer.columns else ((),) * len(shapes)
            for row, shape in zip(rows, shapes, strict=True):
                yield dict(zip(layer.columns, row, strict=True)), shape

    return crs, features()
