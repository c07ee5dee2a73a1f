"""The recipe block `kind: vector` and its source."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import numpy as np
import shapely
from pydantic import field_validator
from typing_extensions import override

from earthsynth_factory.conditions.base import ConditionSource, SourceContext, SourceSpec, Want
from earthsynth_factory.conditions.vector.blocks import VectorBlock, area_of, laid_out
from earthsynth_factory.conditions.vector.cutting import clipped
from earthsynth_factory.conditions.vector.features import read_features
from earthsynth_factory.conditions.vector.painting import Painted, Tile, paint
from earthsynth_factory.conditions.vector.rules import FeatureRule, read_rules
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.masks import present_classes, present_ids
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, Category
from earthsynth_factory.errors import NoCondition, SourceError
from earthsynth_factory.io.georeference import crs_name, transform_text
from earthsynth_factory.io.mirror import located
from earthsynth_factory.io.vector_files import Area, Shapes

LAYOUT_VERSION = 2
"""Raised whenever the same want would give other pixels."""

TRIES = 24
"""Places tried for one want before it is given up with the commonest reason."""

SHIFT = 0.7
"""How far what is wanted may lie from a tile's centre, as a share of half its side."""

MAX_PIXELS = 1 << 26
"""As many has a picture of a whole area at the most: its pixels are held as float32, about 1.3 GB."""

OSM_LICENCE = "© OpenStreetMap contributors, ODbL 1.0 (openstreetmap.org/copyright)"


class VectorSpec(SourceSpec):
    """Real places: streets, buildings, parcels and waters out of vector data, to scale and where they lie."""

    kind: Literal["vector"]
    path: str
    """A GeoPackage, GeoJSON, Shapefile, FlatGeobuf or OpenStreetMap extract (`.osm.pbf`), relative to the recipe;
    or where one lies in an object store, such as s3://bucket/town.gpkg."""
    rules: str | tuple[FeatureRule, ...] = Field(default="osm", min_length=1)
    """Which features are what, in the order they are painted, later ones on top: `osm` for OpenStreetMap's tags (`recipe
    osm-rules` prints the table), a TOML file like it, or the rules themselves."""
    area: Area | str | None = None
    """Where tiles may lie: west, south, east, north in degrees, or a file of polygons. Left out, all features' extent."""
    tiles: Literal["random", "grid"] = "random"
    """`random`: anywhere, what is wanted in view. `grid`: side by side, each at most once."""
    turn: bool = False
    """Turn tiles by any angle; else north is up."""
    block: float = Field(default=500, ge=1, le=1e6)
    """Metres: the ground is dealt to splits in squares of this side; a tile lies within one."""
    gap: float = Field(default=50, ge=0, le=1e5)
    """Metres that tiles of two squares stay apart."""
    ground: str | None = None
    """Category where nothing lies; left out, background."""
    min_visible: float = Field(default=0.5, gt=0, le=1)
    """At least one object of what is wanted is seen to this share …"""
    min_area: float = Field(default=0.02, gt=0, le=1)
    """… and land cover that is wanted covers at least this share of the image."""
    licence: str | None = None
    """Licence and credit of the data, for the dataset card; with `rules: osm` that of OpenStreetMap."""

    @field_validator("area")
    @classmethod
    def _in_order(cls, area: Area | str | None) -> Area | str | None:
        if isinstance(area, tuple):
            west, south, east, north = area
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    "an area is west, south, east, north in degrees, west of east and south of north; what lies on both "
                    "sides of the 180th meridian is two sources"
                )
        return area

    def build(self, context: SourceContext) -> VectorSource:
        """Read the file. Raises SourceError if it cannot be used, InputError for a category that nobody knows."""
        return VectorSource(self, context)


class VectorSource(ConditionSource):
    """Cuts tiles out of a place. A square of ground is a group."""

    def __init__(self, spec: VectorSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._path = located(context.base, spec.path)
        rules = read_rules(spec.rules, context.base)
        bounds = spec.area if isinstance(spec.area, tuple) else None
        self._features = read_features(self._path, rules, context.taxonomy, bounds)
        area = area_of(spec.area, self._features, context.base)
        self._ground = laid_out(self._features, area, spec.block, spec.gap, context.shares, context.seed)
        self._below = context.taxonomy.named(spec.ground).id if spec.ground else BACKGROUND
        self._system = crs_name(self._features.system)
        self._grid = lru_cache(maxsize=16)(self._laid)

    def fingerprint(self) -> str:
        """The block, the features and the version of the layouts."""
        block = self._spec.model_dump(mode="json", exclude={"weight", "path", "licence", "rules"})
        content = {"features": self._features.content, "area": self._ground.area.wkt if self._spec.area else None}
        return json.dumps({"layout_version": LAYOUT_VERSION, **block, **content}, sort_keys=True)

    @override
    def supports(self, category: Category | None, split: str) -> bool:
        """Every category that a feature of the split's squares has."""
        if category is None:
            return bool(self._ground.of_split.get(split))
        return (split, category.id) in self._ground.reached

    @override
    def masks_of(self) -> Mapping[int, int]:
        """Category id → features of it."""
        return Counter(self._features.category.tolist())

    @override
    def licences(self) -> list[str]:
        return [f"{self._path.name}: {self._spec.licence or self._usual_licence()}"]

    def _usual_licence(self) -> str:
        return OSM_LICENCE if self._spec.rules == "osm" else "vectors without a stated licence"

    def draw(self, want: Want) -> Condition:
        """Raises NoCondition if no place shows what is wanted."""
        rng = np.random.default_rng(derive(want.seed, "vector"))
        faults: Counter[str] = Counter()
        for _ in range(1 if self._spec.tiles == "grid" else TRIES):
            angle = float(rng.uniform(0, math.tau)) if self._spec.turn else 0.0
            place = self._next(want, angle) if self._spec.tiles == "grid" else self._anywhere(want, angle, rng)
            if isinstance(place, str):
                faults[place] += 1
                continue
            x, y, block = place
            tile = Tile.around(x, y, want.height, want.width, want.metres_per_pixel, angle)
            if not self._ground.area.covers(tile.outline):
                faults["tiles reach beyond the area"] += 1
                continue
            painted = paint(self._features, tile, self._context.taxonomy, want.shown, self._below)
            fault = self._fault(want, painted)
            if fault is None:
                return self._condition(want.seed, want.metres_per_pixel, tile, painted, block.name)
            faults[fault] += 1
        raise NoCondition(f"{self._path.name}: {faults.most_common(1)[0][0]}")

    def whole(self, metres_per_pixel: float, seed: int) -> Condition:
        """The whole area in one picture, north up; its sides are multiples of 64 pixels.

        Raises SourceError if that is larger than `MAX_PIXELS`.
        """
        left, bottom, right, top = self._ground.area.bounds
        width, height = (64 * math.ceil(extent / metres_per_pixel / 64) for extent in (right - left, top - bottom))
        if width * height > MAX_PIXELS:
            raise SourceError(
                f"{self._path.name}: {width} × {height} pixels are more than one picture may have ({MAX_PIXELS:,}); name a "
                "smaller `area`, or more metres per pixel"
            )
        x, y = left + width * metres_per_pixel / 2, top - height * metres_per_pixel / 2
        tile = Tile.around(x, y, height, width, metres_per_pixel, 0.0)
        painted = paint(self._features, tile, self._context.taxonomy, None, self._below)
        return self._condition(seed, metres_per_pixel, tile, painted, "whole")

    def _half(self, want: Want, angle: float) -> tuple[float, float]:
        """Half the extent of a tile in metres, across and up."""
        c, s = abs(math.cos(angle)), abs(math.sin(angle))
        width, height = want.width * want.metres_per_pixel / 2, want.height * want.metres_per_pixel / 2
        return c * width + s * height, s * width + c * height

    def _too_large(self, want: Want) -> str:
        side, block = max(want.width, want.height) * want.metres_per_pixel, self._spec.block
        return f"a tile of {side:.0f} m does not fit into the area, or a square of {block:g} m in it; give a larger `block`"

    def _anywhere(self, want: Want, angle: float, rng: np.random.Generator) -> tuple[float, float, VectorBlock] | str:
        """The centre of a tile in a square of the split, what is wanted in view; or why there is none."""
        blocks = self._ground.of_split.get(want.split, ())
        if want.category is None:
            block = blocks[int(rng.integers(len(blocks)))]
            spot = (float(rng.uniform(block.left, block.right)), float(rng.uniform(block.bottom, block.top)))
        else:
            rows = self._ground.reached[want.split, want.category.id]
            piece, number = rows[int(rng.integers(len(rows)))].tolist()
            block = blocks[number]
            spot = self._on(self._features.tree.geometries[piece], block, rng)
        half = self._half(want, angle)
        centre = []
        for place, reach, low, high in zip(
            spot, half, (block.left, block.bottom), (block.right, block.top), strict=True
        ):
            if high - low < 2 * reach:
                return self._too_large(want)
            moved = place + float(rng.uniform(-SHIFT, SHIFT)) * reach
            centre.append(min(max(moved, low + reach), high - reach))
        return centre[0], centre[1], block

    def _on(self, shape: shapely.Geometry, block: VectorBlock, rng: np.random.Generator) -> tuple[float, float]:
        """A point of the shape within the block: by chance, else one that surely is."""
        [inside] = clipped(np.array([shape], object), block.left, block.bottom, block.right, block.top)
        left, bottom, right, top = inside.bounds
        for _ in range(8):
            point = float(rng.uniform(left, right)), float(rng.uniform(bottom, top))
            if shapely.contains_xy(inside, *point):
                return point
        sure = inside.representative_point()
        return sure.x, sure.y

    def _next(self, want: Want, angle: float) -> tuple[float, float, VectorBlock] | str:
        """The want's own place in the grid of its split; or why there is none."""
        found = self._grid(want.split, want.category.id if want.category else None, self._half(want, angle))
        if not found:
            return self._too_large(want)
        if want.ordinal >= len(found):
            return f"its squares of {want.split} have {len(found)} tiles that show this class, and all are used"
        return found[want.ordinal]

    def _laid(
        self, split: str, category: int | None, half: tuple[float, float]
    ) -> list[tuple[float, float, VectorBlock]]:
        found = []
        for block in self._ground.of_split.get(split, ()):
            columns = int((block.right - block.left) // (2 * half[0]))
            rows = int((block.top - block.bottom) // (2 * half[1]))
            found += [
                (block.left + (2 * column + 1) * half[0], block.bottom + (2 * row + 1) * half[1], block)
                for row in range(rows)
                for column in range(columns)
            ]
        if category is None or not found:
            return found
        places = np.array([(x - half[0], y - half[1], x + half[0], y + half[1]) for x, y, _ in found])
        enough = self._enough(shapely.box(*places.T), category)
        return [one for number, one in enumerate(found) if number in enough]

    def _enough(self, boxes: Shapes, category: int) -> set[int]:
        """The numbers of the boxes that show enough of the category, as long as nothing lies on top of it."""
        features = self._features
        number, piece = features.tree.query(boxes, predicate="intersects")
        ours = features.category[features.feature[piece]] == category
        number, piece = number[ours], piece[ours]
        seen = np.zeros(len(number))
        for box in np.unique(number).tolist():
            there = number == box
            seen[there] = shapely.area(clipped(features.tree.geometries[piece[there]], *boxes[box].bounds))
        thing = self._context.taxonomy[category].thing
        part = number * len(features.category) + features.feature[piece] if thing else number
        parts, place = np.unique(part, return_inverse=True)
        sums = np.bincount(place, weights=seen, minlength=len(parts))
        if not thing:
            return set(parts[sums >= self._spec.min_area * shapely.area(boxes[parts])].tolist())
        box, feature = np.divmod(parts, len(features.category))
        return set(box[sums >= self._spec.min_visible * features.area[feature]].tolist())

    def _fault(self, want: Want, painted: Painted) -> str | None:
        """Why this tile does not meet the want."""
        if fault := want.avoided_in(painted.mask):
            return fault
        if want.category is None:
            return None
        inside = painted.mask == want.category.id
        if not want.category.thing:
            return None if inside.mean() >= self._spec.min_area else f"too little of {want.category.name!r} in view"
        ids = present_ids(painted.instances[inside])
        if max((painted.visible[number] for number in ids), default=0.0) < self._spec.min_visible:
            return f"too little of {want.category.name!r} in view (see `min_visible`)"
        return want.miscounted(len(ids)) or want.missized(painted.lengths[number] for number in ids)

    def _condition(self, seed: int, metres_per_pixel: float, tile: Tile, painted: Painted, part: str) -> Condition:
        place = {"crs": self._system, "transform": transform_text(tile.transform)}
        return Condition(
            mask=painted.mask,
            instances=painted.instances,
            prompt=self._context.prompts.write(present_classes(painted.mask), metres_per_pixel, seed=seed),
            metres_per_pixel=metres_per_pixel,
            seed=seed,
            origin=Origin(f"vector:{self._path.stem}", f"{self._path.stem}-{part}", place),
            visible=painted.visible,
        )
