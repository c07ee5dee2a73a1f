"""Squares of ground that tiles lie in, each of one split, with a gap between them: so that neighbours do not leak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from earthsynth_factory.conditions.vector.features import Features
from earthsynth_factory.conditions.vector.layers import read_layers
from earthsynth_factory.domain.splits import assign_groups
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import DEGREES
from earthsynth_factory.io.vector_files import Area, reprojected

MAX_BLOCKS = 1_000_000
"""An area of more is larger than what is read of a file at once."""


MAX_AREA_CORNERS = 100_000
"""Every tile is compared with the area's outline."""


@dataclass(frozen=True, slots=True)
class VectorBlock:
    """Column and row count from the lower left corner of the area. left, bottom, right, top: metres, without the gap."""

    column: int
    row: int
    left: float
    bottom: float
    right: float
    top: float

    @property
    def box(self) -> shapely.Polygon:
        """The ground that tiles may cover."""
        return shapely.box(self.left, self.bottom, self.right, self.top)

    @property
    def name(self) -> str:
        """The group of everything in it."""
        return f"block-{self.column}-{self.row}"


@dataclass(frozen=True, eq=False)
class VectorGround:
    """The blocks of an area that show something, by split, and which features reach into them.

    area: where tiles may lie, in the features' system. of_split: split → its blocks. reached: (split, category) → rows of
    (piece, number of the block within its split).
    """

    area: shapely.Geometry
    of_split: Mapping[str, tuple[VectorBlock, ...]]
    reached: Mapping[tuple[str, int], npt.NDArray[np.int64]]


def laid_out(
    features: Features, area: shapely.Geometry, side: float, gap: float, shares: Mapping[str, float], seed: int
) -> VectorGround:
    """Blocks of `side` metres, a rim of half the gap free in each. Raises SourceError if there are none or too many."""
    shapely.prepare(area)
    blocks = _blocks(area, side, gap)
    if not blocks:
        raise SourceError(
            f"a gap of {gap:g} m leaves nothing of squares of {side:g} m in the area; give a smaller `gap`"
        )
    numbers, pieces = features.tree.query([one.box for one in blocks], predicate="intersects")
    category = features.category[features.feature[pieces]]
    groups = {blocks[number].name: set(category[numbers == number].tolist()) for number in np.unique(numbers).tolist()}
    splits = assign_groups(groups, shares, seed)
    of_split = {name: tuple(one for one in blocks if splits.get(one.name) == name) for name in shares}
    place = {one.name: (name, spot) for name, those in of_split.items() for spot, one in enumerate(those)}
    reached: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for number, piece, one in zip(numbers.tolist(), pieces.tolist(), category.tolist(), strict=True):
        split, spot = place[blocks[number].name]
        reached.setdefault((split, one), []).append((piece, spot))
    return VectorGround(area, of_split, {key: np.array(sorted(rows)) for key, rows in reached.items()})


def area_of(given: Area | str | None, features: Features, base: Path) -> shapely.Geometry:
    """The area in the features' system: west, south, east, north in degrees, the polygons of a file, or all features."""
    if given is None:
        return shapely.box(*features.bounds)
    if not isinstance(given, str):
        corners = shapely.segmentize(shapely.box(*given), max((given[2] - given[0]) / 20, 1e-9))
        [found] = reprojected(np.array([corners], object), DEGREES, features.system)
        return found
    return _polygons(given, base, features)


def _polygons(given: str, base: Path, features: Features) -> shapely.Geometry:
    """All polygons of a file as one area. Raises SourceError if it has none, or too many corners."""
    path = base / Path(given).expanduser()
    found = [
        shape
        for layer in read_layers(path, (), None, None)
        for shape in reprojected(layer.shapes, layer.system, features.system)
        if shape is not None and shapely.get_dimensions(shape) == 2
    ]
    if not found:
        raise SourceError(f"{path}: has no polygon that could be the area")
    corners = int(shapely.get_num_coordinates(np.array(found, object)).sum())
    if corners > MAX_AREA_CORNERS:
        raise SourceError(
            f"{path}: {corners:,} corners are more than an area may have ({MAX_AREA_CORNERS:,}); simplify it"
        )
    return shapely.union_all(shapely.make_valid(np.array(found, object)))


def _blocks(area: shapely.Geometry, side: float, gap: float) -> list[VectorBlock]:
    left, bottom, right, top = area.bounds
    columns, rows = (max(1, int(np.ceil((high - low) / side))) for low, high in ((left, right), (bottom, top)))
    if columns * rows > MAX_BLOCKS:
        raise SourceError(
            f"the area has {columns * rows:,} blocks of {side:g} m; name a smaller `area` or larger `block`"
        )
    found = [
        VectorBlock(
            column,
            row,
            left + column * side + gap / 2,
            bottom + row * side + gap / 2,
            min(left + (column + 1) * side - gap / 2, right),
            min(bottom + (row + 1) * side - gap / 2, top),
        )
        for row in range(rows)
        for column in range(columns)
    ]
    return [one for one in found if one.right > one.left and one.top > one.bottom and area.intersects(one.box)]
