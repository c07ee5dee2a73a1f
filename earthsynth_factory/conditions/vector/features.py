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

from earthsynth_factory.conditions.vector.layers import Area, Layer, read_layers
from earthsynth_factory.conditions.vector.projection import Shapes, metric_system, reprojected
from earthsynth_factory.conditions.vector.rules import ANY_OTHER, FeatureRule, Metres
from earthsynth_factory.conditions.vector.tags import Tags, names_in
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import DEGREES, crs_name
from earthsynth_factory.io.log import LOGGER

MANY_CORNERS = 1000
"""A shape with more is cut into pieces, so that a tile has to look at those alone that reach into it."""

QUARTER = 4
"""Segments of a quarter circle where lines bend and end."""


@dataclass(frozen=True, eq=False)
class Features:
    """Pieces of features in the order they are painted, later ones on top.

    system: in metres. tree: over the pieces. feature: (P,) which feature each belongs to. category: (F,) uint8 class id of
    each feature. area: (F,) square metres. length: (F,) metres of the longer side. content: digest of all that.
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
    shapes: list[Shapes] = []
    categories: list[npt.NDArray[np.uint8]] = []
    for rule in rules:
        category = taxonomy.named(rule.category).id
        for table in tables:
            if rule.layer in (None, table.name):
                found = table.taken(rule, category)
                shapes.append(found)
                categories.append(np.full(len(found), category, np.uint8))
    _say(path, told)
    return _features(path, np.concatenate(shapes), np.concatenate(categories), system, layers)


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
        self._shapes = reprojected(layer.shapes, layer.system, system)
        self._kind = shapely.get_dimensions(self._shapes)
        self._taken: dict[int, set[int]] = {}
        self._told = told
        told["without a shape, or with corners that lie nowhere: left out"] += int((self._kind < 0).sum())

    def taken(self, rule: FeatureRule, category: int) -> Shapes:
        """The areas that the rule makes of its features."""
        before = self._taken.setdefault(category, set())
        chosen = np.array([one for one in self._tags.matching(rule.where) if one not in before], np.int64)
        parts = []
        for dimension, size in ((2, None), (1, rule.width), (0, rule.radius)):
            of_kind = chosen[self._kind[chosen] == dimension]
            if dimension == 2:
                parts.append((of_kind, self._whole(of_kind)))
            elif size is not None:
                sized, metres = self._sized(
                    of_kind[self._long(of_kind) if dimension == 1 else slice(None)], size, rule.tag
                )
                radius = metres / 2 if dimension == 1 else metres
                wide = shapely.buffer(self._shapes[sized], radius, quad_segs=QUARTER)
                parts.append((sized, np.asarray(wide, object)))
        numbers = np.concatenate([number for number, _ in parts])
        found = np.concatenate([shape for _, shape in parts])
        order = np.argsort(numbers, kind="stable")
        numbers, found = numbers[order], found[order]
        flat = shapely.is_empty(found) | (shapely.area(found) <= 0)
        self._told["of no extent: left out"] += int(flat.sum())
        before.update(numbers.tolist())
        return np.asarray(found[~flat], object)

    def _whole(self, numbers: npt.NDArray[np.int64]) -> Shapes:
        """Areas, mended if they cross themselves."""
        shapes = self._shapes[numbers]
        broken = ~shapely.is_valid(shapes)
        self._told["crossing themselves: mended"] += int(broken.sum())
        shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
        return np.asarray(shapes, object)

    def _long(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which lines lead anywhere."""
        found = shapely.length(self._shapes[numbers]) > 0
        self._told["that are lines without length: left out"] += int((~found).sum())
        return np.asarray(found)

    def _sized(
        self, numbers: npt.NDArray[np.int64], size: Metres, tag: str | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The features that have a size, with it in metres."""
        if not isinstance(size, dict):
            return numbers, np.full(len(numbers), size)
        values = self._tags.column(str(tag))
        metres = np.array([size.get(str(values[one]), size.get(ANY_OTHER, np.nan)) for one in numbers], float)
        lacking = np.isnan(metres)
        self._told[f"whose {tag} has no width or radius in its rule: left out"] += int(lacking.sum())
        return numbers[~lacking], metres[~lacking]


def _say(path: Path, told: Counter[str]) -> None:
    for what, number in told.items():
        if number:
            _warn_once(f"{path.name}: {number} feature{'s' * (number > 1)} {what}")


@cache
def _warn_once(text: str) -> None:
    """A recipe's source is opened several times before a build starts."""
    LOGGER.warning("%s", text)


def _features(
    path: Path, shapes: Shapes, categories: npt.NDArray[np.uint8], system: CRS, layers: Sequence[Layer]
) -> Features:
    if not len(shapes):
        seen = "; ".join(f"{layer.name}: {len(layer.shapes)} features" for layer in layers)
        raise SourceError(f"{path}: no rule takes anything of it ({seen}); check `area`, `rules` and their `where`")
    pieces, feature = _pieces(shapes)
    digest = hashlib.blake2b(crs_name(system).encode(), digest_size=16)
    for shape, category in zip(shapely.to_wkb(shapes), categories.tolist(), strict=True):
        digest.update(category.to_bytes())
        digest.update(shape)
    return Features(
        system, shapely.STRtree(pieces), feature, categories, shapely.area(shapes), _lengths(shapes), digest.hexdigest()
    )


def _lengths(shapes: Shapes) -> npt.NDArray[np.float64]:
    """(F,) metres of the longer side of the least rectangle around each."""
    boxes = shapely.oriented_envelope(shapes)
    corners = [shapely.get_point(shapely.get_exterior_ring(boxes), number) for number in range(3)]
    sides = [shapely.distance(corners[0], corners[1]), shapely.distance(corners[1], corners[2])]
    return np.asarray(np.nan_to_num(np.maximum(*sides)))


def _pieces(shapes: Shapes) -> tuple[Shapes, npt.NDArray[np.int32]]:
    """Shapes of bounded size in the same order, and which shape each is a piece of."""
    large = shapely.get_num_coordinates(shapes) > MANY_CORNERS
    if not large.any():
        return shapes, np.arange(len(shapes), dtype=np.int32)
    pieces, owner = [], []
    for number, shape in enumerate(shapes):
        cut = list(_cut(shape)) if large[number] else [shape]
        pieces += cut
        owner += [number] * len(cut)
    return np.array(pieces, object), np.array(owner, np.int32)


def _cut(shape: shapely.Geometry) -> Iterator[shapely.Geometry]:
    """The shape, halved along its longer side until no piece has many corners."""
    if shape.is_empty or shapely.get_dimensions(shape) < 2:
        return
    left, bottom, right, top = shape.bounds
    if shapely.get_num_coordinates(shape) <= MANY_CORNERS or max(right - left, top - bottom) < 1:
        yield shape
        return
    if right - left > top - bottom:
        middle = (left + right) / 2
        halves = ((left, bottom, middle, top), (middle, bottom, right, top))
    else:
        middle = (bottom + top) / 2
        halves = ((left, bottom, right, middle), (left, middle, right, top))
    for half in halves:
        yield from _cut(shapely.clip_by_rect(shape, *half))
