"""Where an image lies on the ground and how many metres its pixels have there, from the file or from what lies beside it.

Map units are not metres: web mercator is stretched by 1 / cos(latitude), degrees shrink towards the poles, surveyors count
feet. So a pixel is measured on the ellipsoid, at the image's centre. Beside the image a world file (`.tfw`, `.jgw`, `.wld`)
with `.prj`, and GDAL's `.aux.xml`, are read by us, as text of bounded size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform as to_system

from earthsynth_factory.errors import SourceError

MAX_BYTES = 1 << 20
"""Largest sidecar file that is read."""

MAX_METRES = 1000.0
"""Pixels of this many metres and more are not overhead imagery that anything here could use."""

STEP = 50.0
"""Pixels over which a distance is measured: far enough for projections that iterate, near enough to be one scale."""

_EQUATOR, _FLATTENING = 6378137.0, 1 / 298.257223563
"""WGS 84: half axis in metres and flattening."""


def on_ground(transform: Affine, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 2) column, row → x, y; with the inverse the way back. Spelt out, since affine's operators differ by version."""
    a, b, c, d, e, f = transform[:6]
    columns, rows = points[:, 0], points[:, 1]
    return np.column_stack([a * columns + b * rows + c, d * columns + e * rows + f])


def transform_text(numbers: Iterable[float]) -> str:
    """The six numbers of a transform as a text that says them to the last bit: what an origin's `transform` is."""
    return " ".join(repr(float(number)) for number in islice(numbers, 6))


def transform_of(text: str) -> list[float]:
    """The numbers in such a text."""
    return [float(number) for number in text.split()]


DEGREES = CRS.from_user_input("OGC:CRS84")
"""Longitude, latitude on WGS 84."""


@dataclass(frozen=True, slots=True)
class Georeference:
    """crs: None if only a world file is known. transform: column, row (edges) → x, y of the system."""

    crs: CRS | None
    transform: Affine

    def metres_per_pixel(self, width: int, height: int) -> float | None:
        """The true ground scale at the centre of an image of that size; None if the system does not tell.

        Without a system, coordinates that no degrees can be are taken for metres.
        """
        place = self._on_ground(width / 2, height / 2)
        if self.crs is None:
            across, down = _lengths(self.transform)
            found = (across + down) / 2 if max(map(abs, place)) > 360 else None
        else:
            found = self._measured(width / 2, height / 2)
        return found if found is not None and 0 < found < MAX_METRES else None

    def at(self, left: int, top: int) -> Georeference:
        """That of a crop with its upper left corner there."""
        x, y = self._on_ground(left, top)
        a, b, _, d, e, _ = self.transform[:6]
        return Georeference(self.crs, Affine(a, b, x, d, e, y))

    def fields(self) -> dict[str, object]:
        """As plain values: `crs` as `EPSG:…` or WKT, `transform` as six numbers (a, b, c, d, e, f)."""
        return {"crs": crs_name(self.crs) if self.crs else None, "transform": list(self.transform)[:6]}

    def _on_ground(self, column: float, row: float) -> tuple[float, float]:
        a, b, c, d, e, f = self.transform[:6]
        return a * column + b * row + c, d * column + e * row + f

    def _measured(self, column: float, row: float) -> float | None:
        half = STEP / 2
        points = [(column - half, row), (column + half, row), (column, row - half), (column, row + half)]
        xs, ys = zip(*(self._on_ground(*point) for point in points), strict=True)
        try:
            longitudes, latitudes = to_system(self.crs, "EPSG:4326", xs, ys)[:2]
        except (RasterioError, CPLE_BaseError, ValueError):
            return self._by_units()
        ends = list(zip(longitudes, latitudes, strict=True))
        if not all(math.isfinite(number) for end in ends for number in end):
            return self._by_units()
        return (_distance(ends[0], ends[1]) + _distance(ends[2], ends[3])) / (2 * STEP)

    def _by_units(self) -> float | None:
        """For a local system that lies nowhere on the globe: its unit."""
        assert self.crs is not None
        name, unit = self.crs.units_factor
        across, down = _lengths(self.transform)
        return (across + down) / 2 * float(unit) if name not in ("degree", "grad", "unknown") else None


def crs_name(system: CRS) -> str:
    """`EPSG:32632`, or WKT if it has no code."""
    code = system.to_epsg()
    return f"EPSG:{code}" if code else str(system.to_wkt())


def moved(
    xs: Sequence[float], ys: Sequence[float], source: CRS, target: CRS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coordinates in another system; infinite if they lie nowhere in it. Raises SourceError if there is no way."""
    try:
        found = to_system(source, target, xs, ys)
    except (RasterioError, CPLE_BaseError, CRSError, ValueError) as error:
        raise SourceError(f"no way from {crs_name(source)} to {crs_name(target)} ({error})") from error
    return np.asarray(found[0], float), np.asarray(found[1], float)


def beside(path: Path) -> Georeference | None:
    """What the sidecar files of an image say; None if there is none that can be read."""
    described = _described(path)
    world = next((found for name in _world_names(path) if (found := _world_file(name))), None)
    transform = world or (described[1] if described else None)
    if transform is None:
        return None
    crs = _projection(path.with_suffix(".prj")) or (described[0] if described else None)
    return Georeference(crs, transform)


def _lengths(transform: Affine) -> tuple[float, float]:
    return math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres between two near places (longitude, latitude in degrees) on WGS 84."""
    east, north = (math.radians(b - a) for a, b in zip(one, other, strict=True))
    east = math.remainder(east, math.tau)
    latitude = math.radians((one[1] + other[1]) / 2)
    squared = _FLATTENING * (2 - _FLATTENING)
    bend = 1 - squared * math.sin(latitude) ** 2
    along, across = _EQUATOR * (1 - squared) / bend**1.5, _EQUATOR / math.sqrt(bend) * math.cos(latitude)
    return math.hypot(along * north, across * east)


def _world_names(path: Path) -> list[Path]:
    """`x.jgw`, `x.jpgw` and `x.wld` of `x.jpg`, in small letters and in large ones."""
    suffix = path.suffix[1:]
    endings = dict.fromkeys([f"{suffix[:1]}{suffix[-1:]}w", f"{suffix}w", "wld"])
    return [path.with_suffix(f".{form}") for ending in endings for form in (ending.lower(), ending.upper())]


def _world_file(path: Path) -> Affine | None:
    """Six numbers, a line each: a, d, b, e, and where the centre of the first pixel lies."""
    text = _text(path)
    try:
        a, d, b, e, x, y = map(float, (text or "").split()[:6])
    except ValueError:
        return None
    found = Affine(a, b, x - (a + b) / 2, d, e, y - (d + e) / 2)
    return found if all(map(math.isfinite, found)) and not found.is_degenerate else None


def _projection(path: Path) -> CRS | None:
    return _system(_text(path) or _text(path.with_suffix(".PRJ")))


def _described(path: Path) -> tuple[CRS | None, Affine] | None:
    """The system and the transform in `x.jpg.aux.xml` or `x.aux.xml`."""
    text = _text(path.with_name(f"{path.name}.aux.xml")) or _text(path.with_suffix(".aux.xml"))
    if not text or "<!" in text:  # a comment is no loss, an entity no sidecar needs
        return None
    try:
        root = ElementTree.fromstring(text)
        c, a, b, f, d, e = map(float, (root.findtext("GeoTransform") or "").split(","))
    except (ElementTree.ParseError, ValueError):
        return None
    found = Affine(a, b, c, d, e, f)
    return None if found.is_degenerate else (_system(root.findtext("SRS")), found)


def _system(text: str | None) -> CRS | None:
    if not text or not text.strip():
        return None
    for esri in (False, True):
        try:
            return CRS.from_wkt(text.strip(), morph_from_esri_dialect=esri)
        except (CRSError, ValueError):
            continue
    return None


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return None
