"""Cutting a view out of a mask with its instances, and what is seen of each object in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.masks.folder import MaskPixels
from earthsynth_factory.conditions.masks.objects import Object
from earthsynth_factory.conditions.masks.view import MaskView
from earthsynth_factory.domain.condition import Image, InstanceMap, Mask
from earthsynth_factory.domain.masks import present_ids
from earthsynth_factory.domain.taxonomy import IGNORE
from earthsynth_factory.geometry.pixels import pixels_at


@dataclass(frozen=True, eq=False)
class MaskCrop:
    """What a view shows. mask: (h, w) uint8; instances: (h, w) uint16, the source's; visible: id → share below 1.

    picture: (h, w, 3) uint8, if the folder's pictures are asked for.
    """

    mask: Mask
    instances: InstanceMap
    visible: dict[int, float]
    picture: Image | None = None

    def only(self, categories: Iterable[int]) -> MaskCrop:
        """The same with all other categories made background: EarthSynth's where(mask == id, id, 0) for several. What is
        ignored stays so.
        """
        kept = np.zeros(256, np.uint8)
        kept[[*categories, IGNORE]] = 1
        left = cv2.LUT(self.mask, kept)
        mask, instances = self.mask * left, self.instances * left
        present = set(present_ids(instances))
        visible = {number: share for number, share in self.visible.items() if number in present}
        return MaskCrop(mask, instances, visible, self.picture)


def cut_mask(pixels: MaskPixels, view: MaskView, picture: Image | None = None) -> MaskCrop:
    """Mask, instances and picture through the same view, and the share of each object that its border leaves."""
    mask, instances = view.sample_both(pixels.mask, pixels.instances)
    present = [pixels.objects[number] for number in present_ids(instances) if number]
    cut = [one for one, whole in zip(present, _whole(present, view), strict=True) if not whole]
    shares = {one.id: _share(pixels, one, view) for one in cut}
    seen = None if picture is None else view.sample_picture(picture)
    return MaskCrop(mask, instances, {number: share for number, share in shares.items() if share < 1}, seen)


def target_pixel(pixels: MaskPixels, category: int, rng: np.random.Generator) -> tuple[float, float]:
    """A source position (y, x) on the category: every object as likely as another, land by its area."""
    objects = [one for one in pixels.objects.values() if one.category == category]
    if objects:
        one = objects[int(rng.integers(len(objects)))]
        rows, columns = np.nonzero(pixels.instances[one.box] == one.id)
        pick = int(rng.integers(len(rows)))
        return one.top + int(rows[pick]) + 0.5, one.left + int(columns[pick]) + 0.5
    there = pixels.mask == category
    row, column = next(pixels_at(there, [int(rng.integers(np.count_nonzero(there)))]))
    return row + 0.5, column + 0.5


def _whole(objects: Sequence[Object], view: MaskView) -> npt.NDArray[np.bool_]:
    """(n,) whether the view shows all corners of their boxes."""
    ends = np.array([(one.top, one.bottom - 1, one.left, one.right - 1) for one in objects]).reshape(-1, 4)
    return np.asarray(view.shows(ends[:, [0, 0, 1, 1]], ends[:, [2, 3, 2, 3]]).all(axis=1))


def _share(pixels: MaskPixels, one: Object, view: MaskView) -> float:
    """Share of the object's source pixels that the view shows, counted in the source and so free of resampling."""
    rows, columns = np.nonzero(pixels.instances[one.box] == one.id)
    shown = int(view.shows(rows + one.top, columns + one.left).sum())
    return max(shown, 1) / one.area
