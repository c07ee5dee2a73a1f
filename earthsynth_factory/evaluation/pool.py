"""All images of an evaluation as arrays of one size: written once a session, mapped into every process that trains.

Shapes: N images of side S. Boxes are x1, y1, x2, y2 in pixels of the S × S image.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.datasets.licences import terms_of
from earthsynth_factory.datasets.merged import MergedRecord
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.taxonomy import BACKGROUND
from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation.classes import IGNORE, Classes
from earthsynth_factory.evaluation.members import HELD_OUT, MADE, PARTS, TRAIN, Members
from earthsynth_factory.io.atomic import disk_error, write_bytes
from earthsynth_factory.io.bounded import read_bounded

MAX_BYTES = 16 << 30
"""Largest pool on disk."""

FEW_SCENES = 5
"""With fewer test scenes than this, images are resampled in their place: two or three scenes show no spread."""

DENSE = 0.05
"""Real labels with a smaller share of background than this are a map: what is nothing of it is unlabelled."""

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pool:
    """images (N, S, S, 3), masks (N, S, S) of columns, numbers (N, S, S) of instances, boxes (M, 4) with their `columns`
    (M,), `ids` (M,) and `crowd` (M,), those of image n from starts[n] to starts[n + 1]. parts, scenes, names: (N,)."""

    images: Array
    masks: Array
    numbers: npt.NDArray[np.uint16]
    boxes: npt.NDArray[np.float32]
    columns: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]
    parts: tuple[str, ...]
    scenes: tuple[str, ...]
    names: tuple[str, ...]
    classes: Classes
    digest: str

    @property
    def side(self) -> int:
        """S."""
        return int(self.images.shape[1])

    def of(self, part: str) -> npt.NDArray[np.int64]:
        """Places of the images of a part."""
        return np.flatnonzero(np.array(self.parts) == part)

    def objects(self, place: int) -> slice:
        """Where an image's boxes are."""
        return slice(int(self.starts[place]), int(self.starts[place + 1]))

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) the column that covers most of each image, background aside; 0 if there is none."""
        found = np.zeros(len(self.parts), np.int64)
        for place, mask in enumerate(self.masks):
            counts = np.bincount(mask.ravel(), minlength=256)[1 : self.classes.count]
            found[place] = int(counts.argmax()) + 1 if counts.any() else 0
        return found

    @cached_property
    def holds(self) -> npt.NDArray[np.bool_]:
        """(N, columns) whether an image has pixels of a column."""
        found = np.zeros((len(self.parts), self.classes.count), bool)
        for place, mask in enumerate(self.masks):
            found[place] = np.bincount(mask.ravel(), minlength=256)[: self.classes.count] > 0
        return found

    def units(self, part: str) -> npt.NDArray[np.int64]:
        """For the images of a part the number of what is resampled together: the scene, or the image if scenes are few."""
        scenes = [self.scenes[place] for place in self.of(part)]
        if len(set(scenes)) < FEW_SCENES:
            return np.arange(len(scenes))
        return np.unique(scenes, return_inverse=True)[1]


_FILES = ("images", "masks", "numbers", "boxes", "columns", "ids", "crowd", "starts")


def open_pool(folder: Path) -> Pool:
    """The pool that `write_pool` left; arrays are mapped, not read."""
    about = orjson.loads(read_bounded(folder / "about.json", 1 << 28))
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _FILES}
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in about["classes"].items()}
    texts: dict[str, Any] = {key: tuple(about[key]) for key in ("parts", "scenes", "names")}
    return Pool(**arrays, **texts, classes=Classes(**fields), digest=about["digest"])


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """side: S. held_out: most images of val, and of test."""

    side: int
    held_out: int
    seed: int


def write_pool(
    folder: Path, members: Members, classes: Classes, options: PoolOptions, progress: Callable[[int], None]
) -> Pool:
    """Read every image once. Raises InputError if the pool would be too large, SourceError for an unreadable image."""
    chosen = [(part, record) for part in PARTS for record in _chosen(members, part, options)]
    size = len(chosen) * options.side**2 * 6
    if size > MAX_BYTES:
        raise InputError(
            f"{len(chosen)} images of {options.side} pixels take {size >> 30} GiB, more than {MAX_BYTES >> 30}; "
            "give a smaller --side, or a part of the images"
        )
    writer = _Writer(folder, len(chosen), options.side, members, classes)
    for place, (part, record) in enumerate(chosen):
        writer.put(place, part, record)
        progress(1)
    return writer.close([part for part, _ in chosen], [record for _, record in chosen])


def _chosen(members: Members, part: str, options: PoolOptions) -> Sequence[MergedRecord]:
    """All that may be trained on; of val and test as many as are looked at, taken from the scenes in turn."""
    records = members.records[part]
    if part not in HELD_OUT:
        return records
    turns = Counter[str]()
    ranked = []
    for record in sorted(records, key=lambda record: derive(options.seed, part, record.stem)):
        turns[record.origin.group] += 1
        ranked.append((turns[record.origin.group], record))
    kept = [record for _, record in sorted(ranked, key=lambda pair: pair[0])[: options.held_out]]
    return sorted(kept, key=lambda record: record.slot)


class _Writer:
    """Fills the arrays on disk image by image."""

    def __init__(self, folder: Path, count: int, side: int, members: Members, classes: Classes) -> None:
        self._folder, self._side, self._dataset, self._classes = folder, side, members.dataset, classes
        unlabelled = terms_of(members.dataset.parts[0]).dense and _background(members) < DENSE
        self._tables = {part: classes.table(IGNORE if part in MADE and unlabelled else 0) for part in PARTS}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for stale in ("about.json", *(f"{name}.npy" for name in _FILES)):
                (folder / stale).unlink(missing_ok=True)
            self._big = {
                "images": self._made("images", (count, side, side, 3), np.uint8),
                "masks": self._made("masks", (count, side, side), np.uint8),
                "numbers": self._made("numbers", (count, side, side), np.uint16),
            }
        except OSError as error:
            raise disk_error(folder, error) from error
        self._objects: list[tuple[list[float], int, int, bool]] = []
        self._starts = [0]
        self._hash = hashlib.blake2b(digest_size=16)

    def put(self, place: int, part: str, record: MergedRecord) -> None:
        """Read one image with its labels."""
        image = _fitted(self._dataset.image(record), self._side, cv2.INTER_AREA)
        ids, numbers = self._dataset.mask(record), self._dataset.instances(record)
        mask = self._tables[part][ids]
        if mask.shape[0] != mask.shape[1]:
            mask, numbers = _padded(mask, IGNORE), _padded(numbers, 0)
        for name, labels in (("masks", mask), ("numbers", numbers)):
            self._keep(name, place, _fitted(labels, self._side, cv2.INTER_NEAREST))
        self._keep("images", place, image)
        factor, table = self._side / max(record.width, record.height), self._classes.table()
        for one in record.instances:
            x, y, width, height = (factor * edge for edge in one.box)
            if table[one.category] and min(width, height) >= 1:
                box = [x, y, x + width, y + height]
                self._objects.append((box, int(table[one.category]), one.id, "crowd" in one.flags))
        self._starts.append(len(self._objects))

    def _keep(self, name: str, place: int, values: npt.NDArray[Any]) -> None:
        self._big[name][place] = values
        self._hash.update(values.tobytes())

    def close(self, parts: list[str], records: list[MergedRecord]) -> Pool:
        """Write the rest, and open it."""
        boxes = np.array([one[0] for one in self._objects], np.float32).reshape(-1, 4)
        small: dict[str, npt.NDArray[Any]] = {
            "boxes": boxes,
            "columns": np.array([one[1] for one in self._objects], np.int64),
            "ids": np.array([one[2] for one in self._objects], np.int64),
            "crowd": np.array([one[3] for one in self._objects], bool),
            "starts": np.array(self._starts, np.int64),
        }
        texts = {
            "parts": parts,
            "scenes": [record.origin.group for record in records],
            "names": [record.stem for record in records],
        }
        classes = {key: getattr(self._classes, key) for key in ("ids", "names", "judged", "rare", "notes")}
        self._hash.update(boxes.tobytes() + orjson.dumps([texts, classes]))
        try:
            for array in self._big.values():
                array.flush()
            for name, values in small.items():
                np.save(self._folder / f"{name}.npy", values, allow_pickle=False)
        except OSError as error:
            raise disk_error(self._folder, error) from error
        about = {**texts, "classes": classes, "digest": self._hash.hexdigest()}
        write_bytes(self._folder / "about.json", orjson.dumps(about))
        return open_pool(self._folder)

    def _made(self, name: str, shape: tuple[int, ...], dtype: type) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
        return np.lib.format.open_memmap(self._folder / f"{name}.npy", "w+", dtype, shape)


def _background(members: Members, most: int = 500) -> float:
    """Share of background among the pixels of (some of) the real training images."""
    records = members.records[TRAIN][:: max(1, len(members.records[TRAIN]) // most)]
    shares = [float((members.dataset.mask(record) == BACKGROUND).mean()) for record in records]
    return float(np.mean(shares)) if shares else 1.0


def _padded(array: npt.NDArray[Any], fill: int) -> npt.NDArray[Any]:
    """A square with `array` in its upper left corner."""
    side = max(array.shape[:2])
    square = np.full((side, side, *array.shape[2:]), fill, array.dtype)
    square[: array.shape[0], : array.shape[1]] = array
    return square


def _fitted(array: npt.NDArray[Any], side: int, how: int) -> npt.NDArray[Any]:
    """The array padded to a square and brought to `side` pixels; an image grows smoothly, labels never mix."""
    square = array if array.shape[0] == array.shape[1] else _padded(array, 0)
    if square.shape[0] == side:
        return square
    if how == cv2.INTER_AREA and square.shape[0] < side:
        how = cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (side, side), interpolation=how))
