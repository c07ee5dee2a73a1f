"""`python -m research.town_from_masks MASK_FOLDER OUT.geojson`: masks of neighbouring pictures as one map with OSM's tags.

Made recipes/town.geojson from one scene of the CC0 masks of Dubai (nine pictures, three a row, in the order of their names).
Where it lies is invented: the scene's own place is not known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import shapely
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from rasterio.features import shapes, sieve
from rasterio.warp import transform

COLOURS = {
    (60, 16, 152): {"building": "yes"},
    (110, 193, 228): {"highway": "residential", "area:highway": "yes"},
    (254, 221, 58): {"landuse": "grass"},
    (226, 169, 41): {"natural": "water"},
    (132, 41, 246): {"natural": "sand"},
}
"""sRGB in the masks → tags; what is unlabelled is left out."""

METRES_PER_PIXEL = 0.8
PLACE = CRS.from_epsg(32640)
CORNER = (325_000.0, 2_775_000.0)
"""Upper left, in metres of `PLACE`: desert in UTM zone 40 North."""

ACROSS = 3
SMALLEST = 24
"""Pixels of the smallest patch that is kept."""
TOLERANCE = 1.5
"""Metres that an outline may leave its pixels by."""


def town(folder: Path) -> dict[str, Any]:
    """A GeoJSON FeatureCollection (longitude, latitude) of every patch of one class."""
    number = _mosaic(sorted(path for path in folder.iterdir() if path.suffix == ".png"))
    features = [feature for spot, tags in enumerate(COLOURS.values(), 1) for feature in _features(number == spot, tags)]
    return {"type": "FeatureCollection", "features": features}


def _mosaic(masks: list[Path]) -> npt.NDArray[np.uint8]:
    """(H, W) number of the colour, 0 for none."""
    rows = []
    for start in range(0, len(masks), ACROSS):
        pictures = [_numbers(path) for path in masks[start : start + ACROSS]]
        height = min(len(picture) for picture in pictures)
        rows.append(np.concatenate([picture[:height] for picture in pictures], axis=1))
    width = min(row.shape[1] for row in rows)
    return np.concatenate([row[:, :width] for row in rows])


def _numbers(path: Path) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    found = np.zeros(pixels.shape[:2], np.uint8)
    for spot, colour in enumerate(COLOURS, 1):
        found[(pixels == colour).all(axis=2)] = spot
    return found


def _features(inside: npt.NDArray[np.bool_], tags: dict[str, str]) -> Iterator[dict[str, Any]]:
    clean = sieve(inside.astype(np.uint8), SMALLEST)
    grid = Affine(METRES_PER_PIXEL, 0, CORNER[0], 0, -METRES_PER_PIXEL, CORNER[1])
    for geometry, _ in shapes(clean, mask=clean > 0, transform=grid):
        shape = shapely.simplify(shapely.from_geojson(orjson.dumps(geometry)), TOLERANCE)
        if not shape.is_empty:
            placed = shapely.transform(shape, _degrees)
            yield {"type": "Feature", "properties": tags, "geometry": orjson.loads(shapely.to_geojson(placed))}


def _degrees(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    longitude, latitude = transform(PLACE, "OGC:CRS84", points[:, 0].tolist(), points[:, 1].tolist())
    return np.round(np.column_stack([longitude, latitude]), 6)


def main() -> None:
    """Write the file, a feature a line."""
    found = town(Path(sys.argv[1]))
    lines = b",\n".join(orjson.dumps(feature) for feature in found["features"])
    Path(sys.argv[2]).write_bytes(b'{"type": "FeatureCollection", "features": [\n' + lines + b"\n]}\n")


if __name__ == "__main__":
    main()
