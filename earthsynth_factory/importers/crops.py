"""A scene → its crops: image, class ids, instance ids and the full mask of every object, cut by the same windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry import rle
from earthsynth_factory.geometry.given import Cut, Given, cut_to
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.scene import SceneLabels, SceneObject
from earthsynth_factory.io.pictures import Picture

MAX_BAND = 1 << 24
"""Pixels of a band of rows that are held at once; of a wider scene a band is read in parts."""


@dataclass(frozen=True, slots=True)
class CropRules:
    """side: pixels of a square crop, 0 = whole images. overlap: share of the side that neighbours have in common.

    min_visible: an object cut by the border stays an instance if at least this share of it is inside; of one larger than a
    crop, this share of what a crop can show.
    """

    side: int = 512
    overlap: float = 0.2
    min_visible: float = 0.3


@dataclass(frozen=True, eq=False, slots=True)
class Crop:
    """image (H, W, 3), None if the file is taken over as it is; mask uint8 (H, W) category ids, `IGNORE` where nothing is
    known; numbers uint16 (H, W) instance ids, None if none are known. picture: share of it that is picture, 0–1: the rest
    is no-data or transparent.
    """

    top: int
    left: int
    image: npt.NDArray[np.uint8] | None
    mask: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.uint16] | None
    instances: tuple[Instance, ...]
    picture: float = 1.0


@dataclass(slots=True)
class _Canvas:
    mask: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.uint16]
    instances: list[Instance] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """An object with its category, `IGNORE` for one that the map leaves out as unknown; area: of its pixels."""

    area: int
    category: int
    one: SceneObject


@dataclass(frozen=True, slots=True)
class _Part:
    """What of an object lies in a window: where, and which pixels there. number: its instance's, 0 if it is none."""

    known: _Known
    place: tuple[slice, slice]
    pixels: npt.NDArray[np.bool_]
    number: int

    @property
    def order(self) -> tuple[bool, int]:
        """Crowds first, then the largest, so that single and small objects are painted over them."""
        return (not self.known.one.crowd, -self.known.area)


def cut_crops(
    picture: Picture,
    labels: SceneLabels,
    classes: ClassMap,
    rules: CropRules,
    left_out: Counter[str],
    pixels: bool = True,
) -> Iterator[Crop]:
    """The crops of a scene from top to bottom; memory is that of one band of rows. `left_out` counts what is dropped.

    pixels: whether the image is decoded; False leaves `image` None.
    Raises `SourceError` if labels and image differ in size.
    """
    height, width = picture.shape
    if labels.raster is not None and labels.raster.shape != picture.shape:
        rows, columns = labels.raster.shape
        raise SourceError(
            f"{picture.path}: the image has {width}×{height} pixels, its mask {columns}×{rows}; fetch both again"
        )
    objects = _known(labels.objects, classes, left_out)
    side = rules.side or max(height, width)
    counted = bool(labels.objects) or labels.raster is None
    for top in starts(height, side, rules.overlap):
        bottom = min(top + side, height)
        for lefts in _parts(starts(width, side, rules.overlap), bottom - top, side):
            begin, end = lefts[0], min(lefts[-1] + side, width)
            colours = picture.rgb(top, bottom, begin, end) if pixels else None
            dense = labels.raster.rows(top, bottom, begin, end) if labels.raster is not None else None
            valid = picture.valid(top, bottom, begin, end)
            for left in lefts:
                window = Cut(left, top, min(left + side, width), bottom, width, height)
                place = np.s_[:, left - begin : window.right - begin]
                canvas = _paint(objects, window, None if dense is None else dense[place], rules, left_out)
                share = 1.0 if valid is None else _blank(canvas, valid[place])
                seen = None if colours is None else np.ascontiguousarray(colours[place])
                numbers = canvas.numbers if counted else None
                yield Crop(top, left, seen, canvas.mask, numbers, tuple(canvas.instances), share)


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Where the windows of `side` pixels begin on a length: evenly, the last one flush with the end.

    >>> starts(1000, 512, 0.2), starts(512, 512, 0.2), starts(300, 512, 0.2)
    ([0, 410, 488], [0], [0])
    """
    step = max(1, round(side * (1 - overlap)))
    return [*range(0, max(length - side, 0), step), max(length - side, 0)]


def _parts(lefts: list[int], rows: int, side: int) -> Iterator[list[int]]:
    """The windows of a band in groups that are read at once: all of them, unless the band is too wide for memory."""
    most = max(side, MAX_BAND // rows)
    while lefts:
        count = sum(left + side - lefts[0] <= most for left in lefts)
        yield lefts[:count]
        lefts = lefts[count:]


def _known(objects: tuple[SceneObject, ...], classes: ClassMap, left_out: Counter[str]) -> list[_Known]:
    """The objects that the map does not leave out, in the source's order."""
    found = []
    for one in objects:
        category = classes.id_of(one.word)
        if category in (BACKGROUND, IGNORE):
            left_out[f"{one.word}: {'left out' if category == BACKGROUND else 'set to ignore'} by the map"] += 1
        if category != BACKGROUND:
            found.append(_Known(int(one.pixels.sum()), category, one))
    return found


def _paint(
    objects: list[_Known],
    window: Cut,
    dense: npt.NDArray[np.uint8] | None,
    rules: CropRules,
    left_out: Counter[str],
) -> _Canvas:
    """The labels of one window. Where a dense mask is known it decides what class a pixel has.

    An object's pixels have its class however little of it is inside; only as an instance it may be left out. A crowd's are
    ignored: some are of the class, nobody says which.
    """
    shape = window.bottom - window.top, window.right - window.left
    canvas = _Canvas(np.zeros(shape, np.uint8) if dense is None else dense.copy(), np.zeros(shape, np.uint16))
    parts = _inside_of(objects, window, rules, left_out)
    for part in sorted(parts, key=lambda part: part.order):
        known, place, pixels = part.known, part.place, part.pixels
        if dense is None:
            canvas.mask[place][pixels] = IGNORE if known.one.crowd else known.category
            canvas.numbers[place][pixels] = 0
        if part.number and not known.one.crowd:
            canvas.numbers[place][pixels & (canvas.mask[place] == known.category)] = part.number
    canvas.instances = [_instance(part, window) for part in parts if part.number]
    return canvas


def _inside_of(objects: list[_Known], window: Cut, rules: CropRules, left_out: Counter[str]) -> list[_Part]:
    """The parts of objects in a window, in the source's order; those that stay instances are numbered from 1."""
    shape = window.bottom - window.top, window.right - window.left
    parts: list[_Part] = []
    count = 0
    for known in objects:
        inside = _inside(known.one, (window.top, window.left), shape)
        if inside is None:
            continue
        enough = int(inside[1].sum()) >= rules.min_visible * _attainable(known, shape)
        if known.category != IGNORE and not enough:
            left_out["object mostly outside its crop (its pixels stay)"] += 1
        counts = enough and known.category != IGNORE
        count += counts
        parts.append(_Part(known, *inside, count if counts else 0))
    if count > 0xFFFF:
        raise SourceError("more than 65,535 objects in one crop; prepare with smaller crops")
    return parts


def _attainable(known: _Known, shape: tuple[int, int]) -> float:
    """Pixels of an object that a window of this shape can show, about: all, unless the object is larger than the window."""
    height, width = known.one.pixels.shape
    return known.area * min(1.0, shape[0] / float(height)) * min(1.0, shape[1] / float(width))


def _blank(canvas: _Canvas, valid: npt.NDArray[np.bool_]) -> float:
    """Set to ignore what is no part of the picture; gives the share that is."""
    canvas.mask[~valid] = IGNORE
    canvas.numbers[~valid] = 0
    return float(valid.mean())


def _inside(
    one: SceneObject, corner: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]] | None:
    """Where an object lies in a window and which of its pixels do; None if none does."""
    spans, cuts = [], []
    for begin, length, origin, limit in zip((one.top, one.left), one.pixels.shape, corner, shape, strict=True):
        low, high = max(begin - origin, 0), min(begin - origin + length, limit)
        if low >= high:
            return None
        spans.append(slice(low, high))
        cuts.append(slice(low + origin - begin, high + origin - begin))
    pixels = one.pixels[cuts[0], cuts[1]]
    return ((spans[0], spans[1]), pixels) if pixels.any() else None


def _instance(part: _Part, window: Cut) -> Instance:
    """Its whole mask, also where other objects cover it; `visible` is the share of it inside the crop."""
    known, place, pixels = part.known, part.place, part.pixels
    one, shape = known.one, (window.bottom - window.top, window.right - window.left)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    left, top = place[1].start + int(columns[0]), place[0].start + int(rows[0])
    width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
    box, area = (left, top, width, height), int(pixels.sum())
    return Instance(
        id=part.number,
        category=known.category,
        box=box,
        area=area,
        rle=rle.encode_patch(pixels, place[0].start, place[1].start, *shape),
        visible=max(round(area / known.area, 4), 0.0001),
        truncated=left == 0 or top == 0 or left + width == shape[1] or top + height == shape[0],
        flags=(*(("crowd",) if one.crowd else ()), *(("difficult",) if one.difficult else ())),
        given=_given(one, window, box),
    )


def _given(one: SceneObject, window: Cut, box: tuple[int, int, int, int]) -> Given | None:
    """What the source drew, cut with the window; None if it says no more than the pixels do."""
    given = cut_to(one.given, window) if one.given else None
    return None if given and given.masked and not given.corners and given.box == box else given
