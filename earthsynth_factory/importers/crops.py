"""A scene → its crops: image, class ids, instance ids and the full mask of every object, cut by the same windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.taxonomy import BACKGROUND
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry import rle
from earthsynth_factory.geometry.given import Cut, Given, cut_to
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.scene import Labels, SceneObject
from earthsynth_factory.io.pictures import Picture


@dataclass(frozen=True, slots=True)
class CropRules:
    """side: pixels of a square crop, 0 = whole images. overlap: share of the side that neighbours have in common.

    min_visible: an object cut by the border stays an instance if at least this share of it is inside.
    """

    side: int = 512
    overlap: float = 0.2
    min_visible: float = 0.3


@dataclass(frozen=True, eq=False, slots=True)
class Crop:
    """image (H, W, 3), None where the file is taken over as it is; mask uint8 (H, W) category ids; numbers uint16 (H, W)
    instance ids, None where none are known.
    """

    top: int
    left: int
    image: npt.NDArray[np.uint8] | None
    mask: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.uint16] | None
    instances: tuple[Instance, ...]


@dataclass(slots=True)
class _Canvas:
    mask: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.uint16]
    instances: list[Instance] = field(default_factory=list)


def cut(
    picture: Picture, labels: Labels, classes: ClassMap, rules: CropRules, left_out: Counter[str], pixels: bool = True
) -> Iterator[Crop]:
    """The crops of a scene from top to bottom; memory is that of one band of rows. `left_out` counts what is dropped.

    pixels: whether the image is decoded; False leaves `image` None.
    Raises `SourceError` where labels and image differ in size.
    """
    height, width = picture.shape
    if labels.raster is not None and labels.raster.shape != picture.shape:
        rows, columns = labels.raster.shape
        raise SourceError(
            f"{picture.path}: the image has {width}×{height} pixels, its mask {columns}×{rows}; fetch both again"
        )
    objects = _known(labels.objects, classes, left_out)
    side = rules.side or max(height, width)
    for top in starts(height, side, rules.overlap):
        bottom = min(top + side, height)
        colors = picture.rgb(top, bottom) if pixels else None
        dense = labels.raster.rows(top, bottom) if labels.raster is not None else None
        for left in starts(width, side, rules.overlap):
            right = min(left + side, width)
            place = np.s_[:, left:right]
            window = Cut(left, top, right, bottom, width, height)
            canvas = _paint(objects, window, None if dense is None else dense[place], rules, left_out)
            numbers = canvas.numbers if labels.objects or labels.raster is None else None
            seen = None if colors is None else np.ascontiguousarray(colors[place])
            yield Crop(top, left, seen, canvas.mask, numbers, tuple(canvas.instances))


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Where the windows of `side` pixels begin on a length: evenly, the last one flush with the end.

    >>> starts(1000, 512, 0.2), starts(512, 512, 0.2), starts(300, 512, 0.2)
    ([0, 410, 488], [0], [0])
    """
    step = max(1, round(side * (1 - overlap)))
    return [*range(0, max(length - side, 0), step), max(length - side, 0)]


def _known(
    objects: tuple[SceneObject, ...], classes: ClassMap, left_out: Counter[str]
) -> list[tuple[int, int, SceneObject]]:
    """(area, category, object), the largest first, so that small objects are painted over large ones."""
    found = []
    for one in objects:
        category = classes.id_of(one.word)
        if category == BACKGROUND:
            left_out[f"{one.word}: left out by the map"] += 1
        else:
            found.append((int(one.pixels.sum()), category, one))
    return sorted(found, key=lambda entry: -entry[0])


def _paint(
    objects: list[tuple[int, int, SceneObject]],
    window: Cut,
    dense: npt.NDArray[np.uint8] | None,
    rules: CropRules,
    left_out: Counter[str],
) -> _Canvas:
    """The labels of one window. Where a dense mask is known it decides what class a pixel has."""
    shape = window.bottom - window.top, window.right - window.left
    canvas = _Canvas(np.zeros(shape, np.uint8) if dense is None else dense.copy(), np.zeros(shape, np.uint16))
    for area, category, one in objects:
        inside = _inside(one, (window.top, window.left), shape)
        if inside is None:
            continue
        place, pixels = inside
        visible = int(pixels.sum()) / area
        if visible < rules.min_visible:
            left_out["object mostly outside its crop"] += 1
            continue
        number = len(canvas.instances) + 1
        if number > 0xFFFF:
            raise SourceError("more than 65,535 objects in one crop; prepare with smaller crops")
        if dense is None:
            canvas.mask[place][pixels] = category
        if not one.crowd:
            canvas.numbers[place][pixels & (canvas.mask[place] == category)] = number
        elif dense is None:
            canvas.numbers[place][pixels] = 0
        canvas.instances.append(_instance(number, category, one, place, pixels, visible, window))
    return canvas


def _inside(
    one: SceneObject, corner: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]] | None:
    """Where an object lies in a window and which of its pixels do; None where none does."""
    spans, cuts = [], []
    for begin, length, origin, limit in zip((one.top, one.left), one.pixels.shape, corner, shape, strict=True):
        low, high = max(begin - origin, 0), min(begin - origin + length, limit)
        if low >= high:
            return None
        spans.append(slice(low, high))
        cuts.append(slice(low + origin - begin, high + origin - begin))
    pixels = one.pixels[cuts[0], cuts[1]]
    return ((spans[0], spans[1]), pixels) if pixels.any() else None


def _instance(
    number: int,
    category: int,
    one: SceneObject,
    place: tuple[slice, slice],
    pixels: npt.NDArray[np.bool_],
    visible: float,
    window: Cut,
) -> Instance:
    """Its whole mask, also where other objects cover it; `visible` is the share of it inside the crop."""
    shape = window.bottom - window.top, window.right - window.left
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    left, top = place[1].start + int(columns[0]), place[0].start + int(rows[0])
    width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
    box = (left, top, width, height)
    return Instance(
        id=number,
        category=category,
        box=box,
        area=int(pixels.sum()),
        rle=rle.encode_patch(pixels, place[0].start, place[1].start, *shape),
        visible=round(visible, 4),
        truncated=left == 0 or top == 0 or left + width == shape[1] or top + height == shape[0],
        flags=(*(("crowd",) if one.crowd else ()), *(("difficult",) if one.difficult else ())),
        given=_given(one, window, box),
    )


def _given(one: SceneObject, window: Cut, box: tuple[int, int, int, int]) -> Given | None:
    """What the source drew, cut with the window; None where it says no more than the pixels do."""
    given = cut_to(one.given, window) if one.given else None
    return None if given and given.masked and not given.corners and given.box == box else given
