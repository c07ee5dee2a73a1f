"""Shapes on the ground, in metres and in the order they are painted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.crs import CRS

from earthsynth_factory.conditions.vector.cutting import Numbers, area_pieces, line_stretches, single_parts
from earthsynth_factory.conditions.vector.layers import Layer, read_layers
from earthsynth_factory.conditions.vector.projection import metric_system
from earthsynth_factory.conditions.vector.rules import ANY_OTHER, FeatureRule, Metres
from earthsynth_factory.conditions.vector.tags import Tags, names_in
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import DEGREES, crs_name
from earthsynth_factory.io.log import LOGGER
from earthsynth_factory.io.vector_files import Area, Shapes, reprojected

QUARTER = 4
"""Segments of a quarter circle where lines bend and end."""


@dataclass(frozen=True, eq=False)
class Features:
    """Pieces of features in the order they are painted, later ones on top.

    system: in metres. tree: over the pieces. feature: (P,) which feature each belongs to. category: (F,) uint8 class id of
    each feature. area: (F,) square metres; what pieces of a line share counts twice. length: (F,) metres of the longer side.
    content: digest of all that.
    """

    system: CRS
    tree: shapely.STRtree
    feature: npt.NDArray[np.int32]
    category: npt.NDArray[np.uint8]
    area: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]
    content: str

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in metres."""
        left, bottom, right, top = shapely.total_bounds(self.tree.geometries).tolist()
        return left, bottom, right, top


def read_features(path: Path, rules: Sequence[FeatureRule], taxonomy: Taxonomy, area: Area | None) -> Features:
    """The features that a rule takes, first rule first. Raises SourceError if there is none, or a rule is wrong."""
    tags = list(dict.fromkeys(name for rule in rules for name in _tags_of(rule)))
    named = None if any(rule.layer is None for rule in rules) else frozenset(str(rule.layer) for rule in rules)
    layers = read_layers(path, tags, named, area)
    system = _system(path, layers, area)
    told: Counter[str] = Counter()
    tables = [_Table(layer, tags, system, told) for layer in layers]
    taken = [
        (taxonomy.named(rule.category).id, *table.taken(rule, taxonomy.named(rule.category).id))
        for rule in rules
        for table in tables
        if rule.layer in (None, table.name)
    ]
    _say(path, told)
    if not any(len(pieces) for _, pieces, _ in taken):
        seen = "; ".join(f"{layer.name}: {len(layer.shapes)} features" for layer in layers)
        raise SourceError(f"{path}: no rule takes anything of it ({seen}); check `area`, `rules` and their `where`")
    return _features(taken, system)


def _tags_of(rule: FeatureRule) -> Iterator[str]:
    yield from names_in(rule.where or "")
    if rule.tag:
        yield rule.tag


def _system(path: Path, layers: Sequence[Layer], area: Area | None) -> CRS:
    if area is not None:
        return metric_system(DEGREES, area)
    first = next((layer for layer in layers if len(layer.shapes)), None)
    if first is None:
        raise SourceError(f"{path}: holds no feature")
    bounds = shapely.total_bounds(first.shapes).tolist()
    if not np.isfinite(bounds).all():
        raise SourceError(f"{path}: layer {first.name!r} has no shapes with coordinates")
    return metric_system(first.system, bounds)


class _Table:
    """A layer in metres, asked rule by rule. A feature is one object of a category, by however many rules it is taken."""

    def __init__(self, layer: Layer, tags: Sequence[str], system: CRS, told: Counter[str]) -> None:
        self.name = layer.name
        count = len(layer.shapes)
        nothing = [None] * count
        self._tags = Tags({name: layer.tags.get(name, nothing) for name in tags}, count)
        self._parts, self._owner = single_parts(reprojected(layer.shapes, layer.system, system))
        self._kind = shapely.get_dimensions(self._parts)
        self._taken: dict[int, set[int]] = {}
        self._told = told
        told["without a shape, or with corners that lie nowhere: left out"] += count - len(np.unique(self._owner))

    def taken(self, rule: FeatureRule, category: int) -> tuple[Shapes, Numbers]:
        """The pieces of area that the rule makes of its features, and which feature of the layer each is of, ascending."""
        before = self._taken.setdefault(category, set())
        chosen = np.zeros(len(self._tags), bool)
        chosen[self._tags.matching(rule.where)] = True
        chosen[list(before)] = False
        parts = np.flatnonzero(chosen[self._owner])
        points, lines, areas = (parts[self._kind[parts] == dimension] for dimension in range(3))
        found = [self._areas(areas)]
        if rule.width is not None:
            found.append(self._lines(*self._sized(self._long(lines), rule.width, rule.tag)))
        if rule.radius is not None:
            sized, metres = self._sized(points, rule.radius, rule.tag)
            found.append((_widened(self._parts[sized], metres), sized))
        pieces, owner = np.concatenate([one for one, _ in found]), self._owner[np.concatenate([of for _, of in found])]
        before.update(owner.tolist())
        solid = shapely.area(pieces) > 0
        self._told["of no extent: left out"] += len(np.setdiff1d(owner, owner[solid]))
        order = np.flatnonzero(solid)[np.argsort(owner[solid], kind="stable")]
        return pieces[order], owner[order]

    def _areas(self, parts: Numbers) -> tuple[Shapes, Numbers]:
        pieces, place, crossing = area_pieces(self._parts[parts])
        self._told["with an outline that crosses itself: mended"] += self._features_of(parts[crossing])
        return pieces, parts[place]

    def _lines(self, parts: Numbers, metres: npt.NDArray[np.float64]) -> tuple[Shapes, Numbers]:
        pieces, place = line_stretches(self._parts[parts])
        return _widened(pieces, metres[place] / 2), parts[place]

    def _long(self, parts: Numbers) -> Numbers:
        """The lines that lead anywhere."""
        leads = shapely.length(self._parts[parts]) > 0
        self._told["of lines without length: left out"] += self._features_of(parts[~leads])
        return np.asarray(parts[leads])

    def _sized(self, parts: Numbers, size: Metres, tag: str | None) -> tuple[Numbers, npt.NDArray[np.float64]]:
        """The parts of features that have a size, with it in metres."""
        if not isinstance(size, dict):
            return parts, np.full(len(parts), size)
        values = self._tags.column(str(tag))
        sizes = [size.get(str(values[one]), size.get(ANY_OTHER, np.nan)) for one in self._owner[parts].tolist()]
        metres = np.array(sizes, float)
        lacking = np.isnan(metres)
        self._told[f"whose {tag} has no width or radius in its rule: left out"] += self._features_of(parts[lacking])
        return parts[~lacking], metres[~lacking]

    def _features_of(self, parts: Numbers) -> int:
        """How many features the parts belong to."""
        return len(np.unique(self._owner[parts]))


def _widened(shapes: Shapes, metres: npt.NDArray[np.float64]) -> Shapes:
    return np.asarray(shapely.buffer(shapes, metres, quad_segs=QUARTER), object)


def _say(path: Path, told: Counter[str]) -> None:
    for what, number in told.items():
        if number:
            _warn_once(f"{path.name}: {number} feature{'s' * (number > 1)} {what}")


@cache
def _warn_once(text: str) -> None:
    """A recipe's source is opened several times before a build starts."""
    LOGGER.warning("%s", text)


def _features(taken: Sequence[tuple[int, Shapes, Numbers]], system: CRS) -> Features:
    """taken: in the order they are painted, category, pieces, and the number each one's feature has in its layer."""
    pieces = np.concatenate([some for _, some, _ in taken])
    feature, categories = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    for category, _, owner in taken:
        rows, place = np.unique(owner, return_inverse=True)
        feature = np.concatenate([feature, (place + len(categories)).astype(np.int32)])
        categories = np.concatenate([categories, np.full(len(rows), category, np.uint8)])
    digest = hashlib.blake2b(crs_name(system).encode(), digest_size=16)
    for shape, number in zip(shapely.to_wkb(pieces), feature.tolist(), strict=True):
        digest.update(categories[number].tobytes() + number.to_bytes(4))
        digest.update(shape)
    area = np.asarray(np.bincount(feature, shapely.area(pieces), len(categories)), float)
    return Features(
        system, shapely.STRtree(pieces), feature, categories, area, _lengths(pieces, feature), digest.hexdigest()
    )


def _lengths(pieces: Shapes, feature: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """(F,) metres of the longer side of the least rectangle around each feature."""
    boxes = shapely.oriented_envelope(shapely.geometrycollections(pieces, indices=feature))
    corners = [shapely.get_point(shapely.get_exterior_ring(boxes), number) for number in range(3)]
    sides = [shapely.distance(corners[0], corners[1]), shapely.distance(corners[1], corners[2])]
    return np.asarray(np.nan_to_num(np.maximum(*sides)))
