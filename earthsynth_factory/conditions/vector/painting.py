"""A tile of ground as mask and instances: pixels belong to the feature on top at their centre."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize

from earthsynth_factory.conditions.vector.cutting import clipped, single_parts, spaced_rings
from earthsynth_factory.conditions.vector.features import Features
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.masks import run_starts
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.io.georeference import on_ground

MAX_OBJECTS = 0xFFFF
"""As many ids has an instance map."""

MANY_VERTICES = 10_000
"""Of a geometry within a tile: painting takes seconds from some 10^5 on."""

TOLD_APART = 0.02
"""Pixels: vertices of such a geometry in a row count as one if they lie within a square of this side."""


@dataclass(frozen=True, slots=True)
class Tile:
    """height, width: pixels. transform: column, row (edges) → metres."""

    height: int
    width: int
    transform: Affine

    @classmethod
    def around(cls, x: float, y: float, height: int, width: int, metres_per_pixel: float, angle: float) -> Tile:
        """Its centre lies at x, y; it is turned by `angle` (radians, counter-clockwise), 0: north is up."""
        c, s = math.cos(angle) * metres_per_pixel, math.sin(angle) * metres_per_pixel
        across, down = (c, s), (s, -c)
        left, top = (place - a * width / 2 - b * height / 2 for place, a, b in zip((x, y), across, down, strict=True))
        return cls(height, width, Affine(across[0], down[0], left, across[1], down[1], top))

    @property
    def outline(self) -> shapely.Polygon:
        """Its four corners in metres."""
        corners = [(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)]
        return shapely.Polygon(on_ground(self.transform, np.array(corners, float)))

    @property
    def metres_per_pixel(self) -> float:
        return math.hypot(self.transform.a, self.transform.d)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) metres → column, row."""
        return on_ground(~self.transform, points)


@dataclass(frozen=True, eq=False)
class Painted:
    """mask: (H, W) class ids. instances: (H, W) uint16. visible: instance id → share that is seen. lengths: id → metres."""

    mask: Mask
    instances: InstanceMap
    visible: Mapping[int, float]
    lengths: Mapping[int, float]


def paint(features: Features, tile: Tile, taxonomy: Taxonomy, shown: Sequence[int] | None, ground: int) -> Painted:
    """shown: categories that are painted, None: all. ground: category id where nothing lies."""
    top = _top(features, tile, shown)
    starts = run_starts(top)
    lengths = np.diff(starts, append=top.size)
    numbers, place = np.unique(top.ravel()[starts], return_inverse=True)
    categories = np.where(numbers < 0, ground, features.category[numbers])
    things = [one.id for one in taxonomy if one.thing]
    counted = np.isin(categories, things) & (numbers >= 0)
    ids = np.where(counted, np.cumsum(counted), 0)
    ids[ids > MAX_OBJECTS] = 0
    pixels = np.bincount(place, lengths).astype(int)
    whole = features.area / tile.metres_per_pixel**2
    objects = [(int(ids[spot]), int(numbers[spot]), int(pixels[spot])) for spot in np.flatnonzero(ids)]
    return Painted(
        np.repeat(categories.astype(np.uint8)[place], lengths).reshape(top.shape),
        np.repeat(ids.astype(np.uint16)[place], lengths).reshape(top.shape),
        {number: min(1.0, seen / max(float(whole[feature]), 1.0)) for number, feature, seen in objects},
        {number: float(features.length[feature]) for number, feature, _ in objects},
    )


def _paintable(parts: np.ndarray) -> np.ndarray:
    """(N,) polygons in pixels, those with very many vertices without the ones that no pixel can tell apart."""
    found = np.array(parts, object)
    for number in np.flatnonzero(shapely.get_num_coordinates(parts) > MANY_VERTICES).tolist():
        rings = spaced_rings(parts[number], TOLD_APART)
        found[number] = shapely.Polygon(rings[0], rings[1:]) if rings else shapely.Polygon()
    return found


def _top(features: Features, tile: Tile, shown: Sequence[int] | None) -> np.ndarray:
    """(H, W) int32: the feature on top, -1 where none is."""
    near = np.sort(features.tree.query(tile.outline, predicate="intersects"))
    if shown is not None:
        near = near[np.isin(features.category[features.feature[near]], shown)]
    there = shapely.transform(features.tree.geometries[near], tile.pixels)
    shapes = clipped(there, -1, -1, tile.width + 1, tile.height + 1)
    parts, owner = single_parts(shapes)
    areas = np.flatnonzero(shapely.get_dimensions(parts) == 2)
    parts, owner = _paintable(parts[areas]), owner[areas]
    seen = ~shapely.is_empty(parts)
    found = list(zip(parts[seen].tolist(), (features.feature[near][owner[seen]] + 1).tolist(), strict=True))
    if not found:
        return np.full((tile.height, tile.width), -1, np.int32)
    painted = rasterize(found, out_shape=(tile.height, tile.width), fill=0, dtype="int32")
    return np.asarray(painted - 1)
