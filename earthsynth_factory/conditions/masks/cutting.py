"""Objects of which an upright box is all that is known: cut out of their boxes by a segmenter, or not at all.

A filled box pasted elsewhere brings the ground in its corners along, and its mask would call that ground an object. Oriented
boxes lie close to their objects and are taken as they are. Ours.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.masks.bank import MIN_PIXELS, Cutout
from earthsynth_factory.conditions.masks.folder import MaskFolder
from earthsynth_factory.conditions.masks.pictures import FolderPictures
from earthsynth_factory.datasets.prepared.reader import object_lines
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.components import components
from earthsynth_factory.models.weights import EMBEDDED, weight_hashes

if TYPE_CHECKING:
    from earthsynth_factory.models.segmenter import Segmenter

SIDE = 64
"""Least pixels to a side of the window that the segmenter sees, with the box in its middle."""

LEAST_SHARE = 0.2
"""Of its box an object fills so much at the least; less is a piece of it, or something else."""

KEPT = 4096
"""Shapes that are remembered."""

Bits = npt.NDArray[np.bool_]


def boxed_objects(folder: MaskFolder) -> frozenset[tuple[str, int]]:
    """(stem, instance id) of the objects known by an upright box alone, as the folder's list of objects says."""
    if folder.about is None:
        return frozenset()
    lines = object_lines(folder.path)
    return frozenset((line.stem, one.id) for line in lines for one in line.instances if _boxed(one))


def _boxed(one: Instance) -> bool:
    given = one.given
    return given is not None and given.box is not None and not (given.polygons or given.corners or given.masked)


class BoxCutter:
    """Cuts boxed objects. The segmenter is loaded when it is first asked; reading is safe from several threads."""

    def __init__(self, segmenter: str | None, base: Path, folder: MaskFolder, pictures: FolderPictures) -> None:
        """segmenter: `embedded` or a folder, relative to `base`. Raises SourceError if boxed objects are there and no
        segmenter is named, ModelError if it has no weights."""
        self._boxed = boxed_objects(folder)
        self._folder, self._pictures = folder, pictures
        if self._boxed and segmenter is None:
            raise SourceError(
                f"{folder.path}: {len(self._boxed)} of its objects are known by their boxes alone, and a box pasted "
                "elsewhere brings its ground along; name the `segmenter` that cuts them out (`embedded`, or the folder of "
                "one), or give masks (`prepare --segments` takes a segmenter's)"
            )
        named = EMBEDDED / "segmenter" if segmenter == "embedded" else base / Path(segmenter or "").expanduser()
        self._place = named if self._boxed else None
        self._shapes: OrderedDict[tuple[str, int], Cutout | None] = OrderedDict()
        self._lock = Lock()

    @cached_property
    def identity(self) -> str:
        """Hashes of the weights that cut; empty if there is nothing to cut. Raises ModelError."""
        return "" if self._place is None else " ".join(weight_hashes(self._place).values())

    def cut(self, cutout: Cutout) -> Cutout | None:
        """The object with its own shape; None if the segmenter does not see it. Others as they are."""
        key = cutout.item.entry.stem, cutout.id
        if key not in self._boxed:
            return cutout
        with self._lock:
            if key not in self._shapes:
                self._shapes[key] = self._cut(cutout)
            self._shapes.move_to_end(key)
            while len(self._shapes) > KEPT:
                self._shapes.popitem(last=False)
            return self._shapes[key]

    def _cut(self, cutout: Cutout) -> Cutout | None:
        if cutout.category not in self._segmenter.categories:
            return None
        picture, rows, columns = self._pictures.read(cutout.item), *cutout.box
        window = tuple(_around(side, extent) for side, extent in zip(cutout.box, picture.shape[:2], strict=True))
        seen = self._segmenter.predict(np.ascontiguousarray(picture[window])[None])[0] == cutout.category
        inside = np.zeros(picture.shape[:2], bool)
        inside[window] = seen
        shape = _largest(inside[rows, columns])
        if shape.sum() < max(MIN_PIXELS, LEAST_SHARE * shape.size):
            return None
        there = np.ix_(shape.any(axis=1), shape.any(axis=0))
        corner = rows.start + int(shape.any(axis=1).argmax()), columns.start + int(shape.any(axis=0).argmax())
        return replace(cutout, shape=shape[there], corner=corner)

    @cached_property
    def _segmenter(self) -> Segmenter:
        from earthsynth_factory.models.segmenter import Segmenter

        assert self._place is not None
        return Segmenter.load(self._place, "cpu")


def _around(side: slice, extent: int) -> slice:
    """The side of a box with as much around it as it is long, `SIDE` pixels at the least, within the picture."""
    length = max(SIDE, 2 * (side.stop - side.start))
    start = max(0, min((side.start + side.stop - length) // 2, extent - length))
    return slice(start, min(extent, start + length))


def _largest(shape: Bits) -> Bits:
    """The largest connected part."""
    parts = components(shape.astype(np.uint8), [1])
    return np.asarray(parts == np.bincount(parts[parts > 0], minlength=2).argmax()) & shape
