"""Where a category may lie, and how a silhouette finds room there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.masks.view import View
from earthsynth_factory.domain.taxonomy import BACKGROUND, Taxonomy

Bits = npt.NDArray[np.bool_]
"""(H, W) True where something is."""

PLACES = 24
"""Places tried for one silhouette before it counts as homeless."""

_PAVED = ("pavement", "urban land", "developed space", "bare land", "airport")
_ROADS = ("road", *_PAVED)
_OPEN = ("grass", "rangeland", "bare land", "barren land")
_SPORT = ("grass", "pavement", "urban land", "developed space", "bare land", "rangeland")
_INDUSTRY = ("bare land", "pavement", "grass", "urban land", "developed space", "barren land")
_AIRCRAFT = ("airport", "pavement", "bare land", "grass", "developed space")
_WATER = ("water",)

_ON: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        [
            "ship", "dry cargo ship", "engineering ship", "fishing boat", "liquid cargo ship", "motorboat",
            "passenger ship", "tugboat", "warship",
        ],
        _WATER,
    ),
    **dict.fromkeys(
        [
            "vehicle", "small vehicle", "large vehicle", "bus", "cargo truck", "dump truck", "trailer",
            "truck tractor", "van",
        ],
        _ROADS,
    ),
    **dict.fromkeys(["tractor", "excavator"], ("agriculture land", *_INDUSTRY)),
    **dict.fromkeys(
        [
            "plane", "helicopter", "A220", "A321", "A330", "A350", "ARJ21", "Boeing737", "Boeing747", "Boeing777",
            "Boeing787", "C919",
        ],
        _AIRCRAFT,
    ),
    **dict.fromkeys(
        ["soccer ball field", "basketball court", "ground track field", "baseball diamond", "tennis court", "stadium"],
        _SPORT,
    ),
    **dict.fromkeys(["storage tank", "chimney", "train station"], _INDUSTRY),
    "golf field": ("grass", "rangeland", "forest land"),
    "windmill": (*_OPEN, "agriculture land", "water"),
    "swimming pool": ("grass", "pavement", "bare land", "urban land", "developed space"),
    "building": ("bare land", "grass", "pavement", "urban land", "developed space", "rangeland", "barren land"),
    "helipad": ("pavement", "grass", "bare land", "airport", "developed space"),
    "container crane": ("pavement", "bare land", "water"),
    "harbor": _WATER,
    "dam": _WATER,
    "bridge": ("water", "road"),
}  # fmt: skip
"""Category → classes that it may lie on. Ours; a recipe overrides it with `on`."""


class Grounds:
    """Which classes each category may lie on: the table above, with a recipe's own lines over it."""

    def __init__(self, taxonomy: Taxonomy, overrides: Mapping[str, tuple[str, ...]]) -> None:
        """Raises InputError with the nearest names for a name that no category has."""
        lines = {**_ON, **overrides}
        known = {name: category for name in lines if (category := taxonomy.find(name))}
        self._on = {known[name].id: frozenset(_ids(taxonomy, lines[name], name in overrides)) for name in known}
        for name in overrides:
            self._on[taxonomy.named(name).id] = frozenset(_ids(taxonomy, overrides[name], True))
        dry = {category.id for category in taxonomy if not category.thing} - {BACKGROUND}
        self._else = frozenset(dry - set(_ids(taxonomy, _WATER, False)))

    def of(self, category: int) -> frozenset[int]:
        """Class ids that the category may lie on; any land for a category that the table does not name."""
        return self._on.get(category, self._else)


def _ids(taxonomy: Taxonomy, names: tuple[str, ...], strict: bool) -> list[int]:
    if strict:
        return [taxonomy.named(name).id for name in names]
    return [category.id for name in names if (category := taxonomy.find(name))]


@dataclass(frozen=True, eq=False)
class Stamp:
    """A silhouette ready to be put down. shape: (h, w) bool, tight. anchor: (row, column) of its inmost pixel.

    radius: how far from the outline the anchor is, in pixels; where there is less room, nothing need be compared.
    """

    shape: Bits
    anchor: tuple[int, int]
    radius: float

    @property
    def area(self) -> int:
        """Pixels of the silhouette."""
        return int(self.shape.sum())


def render(shape: Bits, scale: float, angle: float, mirror: bool) -> Stamp | None:
    """A silhouette enlarged by `scale` and turned by `angle` (radians), nearest only. None where no pixel is left."""
    height, width = shape.shape
    turned = View(0.0, 0.0, height, width, angle=angle).reach()
    size = [max(int(np.ceil(2 * reach * scale)), 1) for reach in turned]
    bits = View(height / 2, width / 2, size[0], size[1], 1 / scale, angle, mirror).sample(shape)
    if not bits.any():
        return None
    rows, columns = np.flatnonzero(bits.any(1)), np.flatnonzero(bits.any(0))
    tight = bits[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    depth = cv2.distanceTransform(np.pad(tight, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = divmod(int(depth.argmax()), tight.shape[1])
    return Stamp(tight, (row, column), float(depth[row, column]))


def find_place(free: Bits, stamp: Stamp, min_inside: float, rng: np.random.Generator) -> tuple[int, int] | None:
    """Where the stamp's top left corner may go (row, column; may be negative), or None where no place was found.

    All of it that the image shows is on `free` (H, W), and the image shows at least the share `min_inside` of it.
    """
    depth = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 3)
    roomy = np.flatnonzero(depth >= stamp.radius - 1)  # one pixel of grace: the 3×3 distance is an approximation
    if not len(roomy):
        return None
    for place in rng.choice(roomy, size=min(PLACES, len(roomy)), replace=False).tolist():
        row, column = divmod(place, free.shape[1])
        top, left = row - stamp.anchor[0], column - stamp.anchor[1]
        there, part = overlap(free.shape, stamp, top, left)
        shown = stamp.shape[part]
        if shown.sum() >= min_inside * stamp.area and free[there][shown].all():
            return top, left
    return None


Window = tuple[slice, slice]


def overlap(shape: tuple[int, ...], stamp: Stamp, top: int, left: int) -> tuple[Window, Window]:
    """The common window of an image of `shape` and a stamp at (top, left): in the image, and in the stamp."""
    height, width = stamp.shape.shape
    rows = slice(max(top, 0), max(min(top + height, shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, shape[1]), 0))
    inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    return (rows, columns), inside
