"""Objects cut out of a folder's masks: silhouettes with their true size, indexed once, kept packed.

Objects that touch the border of their mask are cut, and very small ones have no shape: both are left out and counted.
"""

from __future__ import annotations

import heapq
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.masks.folder import MaskFolder, MaskItem, MaskPixels
from earthsynth_factory.conditions.masks.objects import Object
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.io.atomic import write_bytes

MIN_PIXELS = 12
"""Smaller objects have no shape worth keeping."""

BYTES_PER_CATEGORY = 2 << 20
"""Bound on what is kept of one category; if there is more, a fixed pseudo-random choice of it."""

_OVERHEAD = 128
_ARRAYS = ("bits", "ends", "shapes", "categories", "items", "ids", "corners")


@dataclass(frozen=True, eq=False)
class Cutout:
    """One silhouette. shape: (h, w) bool, tight. id: its instance in the item's map. corner: its box's top and left."""

    shape: npt.NDArray[np.bool_]
    category: int
    item: MaskItem
    id: int
    corner: tuple[int, int]

    @property
    def metres_per_pixel(self) -> float | None:
        """Ground sampling distance of the mask it is from; None if unknown."""
        return self.item.metres_per_pixel

    @property
    def group(self) -> str:
        """The scene it is from."""
        return self.item.group

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the item that it lies in."""
        (top, left), (height, width) = self.corner, self.shape.shape
        return slice(top, top + height), slice(left, left + width)


class MaskBank:
    """The cut-outs of a folder's things, found by category and split."""

    def __init__(self, folder: MaskFolder, taxonomy: Taxonomy, cache: Path) -> None:
        """Reads the cached bank, or all masks of the folder once. Raises SourceError for a damaged mask."""
        self._items = folder.items
        path = cache / f"bank-{folder.content}.npz"
        arrays = _load(path, len(folder.items))
        if arrays is None:
            arrays = _build(folder, taxonomy)
            write_bytes(path, _packed(arrays))
        self._bits, self._ends, self._shapes, self._categories, self._owners, self._ids, self._corners = (
            arrays[name] for name in _ARRAYS
        )
        self.left_out = {"cut by the border": int(arrays["left_out"][0]), "too small": int(arrays["left_out"][1])}
        self._by_need: dict[tuple[str, int], list[int]] = {}
        for number, (category, owner) in enumerate(zip(self._categories.tolist(), self._owners.tolist(), strict=True)):
            self._by_need.setdefault((self._items[owner].split, category), []).append(number)

    def find(self, category: int, split: str) -> list[int]:
        """Numbers of the cut-outs of a category whose scene is in the split."""
        return self._by_need.get((split, category), [])

    def __getitem__(self, number: int) -> Cutout:
        height, width = (int(side) for side in self._shapes[number])
        start = int(self._ends[number - 1]) if number else 0
        bits = np.unpackbits(self._bits[start : int(self._ends[number])], count=height * width)
        item = self._items[int(self._owners[number])]
        top, left = self._corners[number].tolist()
        shape = bits.reshape(height, width).astype(bool)
        return Cutout(shape, int(self._categories[number]), item, int(self._ids[number]), (top, left))


def _build(folder: MaskFolder, taxonomy: Taxonomy) -> dict[str, npt.NDArray[Any]]:
    things = {category.id for category in taxonomy if category.thing}
    kept: dict[int, list[tuple[int, int, int, tuple[int, int], bytes, tuple[int, int]]]] = {}
    weights: Counter[int] = Counter()
    left_out: Counter[str] = Counter()
    for owner, item in enumerate(folder.items):
        pixels = folder.read(item)
        for one in _whole_things(item, pixels, things, left_out):
            shape = pixels.instances[one.box] == one.id
            bits = np.packbits(shape).tobytes()
            # A heap by descending draw: what is popped when the bound is passed is the same in any order of the masks.
            draw = derive(0, "bank", item.entry.stem, one.id)
            heap = kept.setdefault(one.category, [])
            heapq.heappush(heap, (-draw, owner, one.id, (shape.shape[0], shape.shape[1]), bits, (one.top, one.left)))
            weights[one.category] += len(bits) + _OVERHEAD
            while weights[one.category] > BYTES_PER_CATEGORY and len(heap) > 1:
                weights[one.category] -= len(heapq.heappop(heap)[4]) + _OVERHEAD
    rows = [
        (category, *row[1:]) for category in sorted(kept) for row in sorted(kept[category], key=lambda row: row[1:3])
    ]
    return {
        "bits": np.frombuffer(b"".join(row[4] for row in rows), np.uint8),
        "ends": np.cumsum([len(row[4]) for row in rows], dtype=np.int64),
        "shapes": np.array([row[3] for row in rows], np.int32).reshape(-1, 2),
        "categories": np.array([row[0] for row in rows], np.uint8),
        "items": np.array([row[1] for row in rows], np.int32),
        "ids": np.array([row[2] for row in rows], np.int32),
        "corners": np.array([row[5] for row in rows], np.int32).reshape(-1, 2),
        "left_out": np.array([left_out["cut by the border"], left_out["too small"]], np.int64),
    }


def _whole_things(item: MaskItem, pixels: MaskPixels, things: set[int], left_out: Counter[str]) -> Iterator[Object]:
    height, width = item.shape
    for one in pixels.objects.values():
        if one.category not in things:
            continue
        if one.top == 0 or one.left == 0 or one.bottom == height or one.right == width:
            left_out["cut by the border"] += 1
        elif one.area < MIN_PIXELS:
            left_out["too small"] += 1
        else:
            yield one


def _packed(arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes its own flag for one of them
    return buffer.getvalue()


def _load(path: Path, items: int) -> dict[str, npt.NDArray[Any]] | None:
    """The cached arrays, or None if the file is missing, damaged or does not hang together."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in (*_ARRAYS, "left_out")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    sides = np.prod(arrays["shapes"].astype(np.int64), axis=1)
    agree = np.array_equal(np.cumsum((sides + 7) // 8), arrays["ends"])
    same = len({len(arrays[name]) for name in _ARRAYS if name != "bits"}) == 1
    inside = bool(((arrays["items"] >= 0) & (arrays["items"] < items)).all())
    whole = len(arrays["bits"]) == (int(arrays["ends"][-1]) if len(arrays["ends"]) else 0)
    return arrays if agree and same and inside and whole else None
