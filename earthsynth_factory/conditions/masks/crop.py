"""Cutting a view out of a mask with its instances, and what is seen of each object in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from earthsynth_factory.conditions.masks.folder import MaskPixels
from earthsynth_factory.conditions.masks.objects import Object
from earthsynth_factory.conditions.masks.view import MaskView
from earthsynth_factory.domain.condition import Image, InstanceMap, Mask
from earthsynth_factory.domain.masks import present_ids
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE


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
        kept = np.isin(self.mask, [*categories, IGNORE])
        instances = np.where(kept, self.instances, 0).astype(np.uint16)
        mask = np.where(kept, self.mask, BACKGROUND).astype(np.uint8)
        return _with_ids(mask, instances, self.visible, self.picture)


def cut_mask(pixels: MaskPixels, view: MaskView, picture: Image | None = None) -> MaskCrop:
    """Mask, instances and picture through the same view, and the share of each object that its border leaves."""
    mask, instances = view.sample_both(pixels.mask, pixels.instances)
    shares = {number: _share(pixels, pixels.objects[number], view) for number in present_ids(instances) if number}
    seen = None if picture is None else view.sample_picture(picture)
    return _with_ids(mask, instances, {number: share for number, share in shares.items() if share < 1}, seen)


def target_pixel(pixels: MaskPixels, category: int, rng: np.random.Generator) -> tuple[float, float]:
    """A source position (y, x) on the category: every object as likely as another, land by its area."""
    objects = [one for one in pixels.objects.values() if one.category == category]
    if objects:
        one = objects[int(rng.integers(len(objects)))]
        rows, columns = np.nonzero(pixels.instances[one.box] == one.id)
        pick = int(rng.integers(len(rows)))
        return one.top + int(rows[pick]) + 0.5, one.left + int(columns[pick]) + 0.5
    places = np.flatnonzero(pixels.mask == category)
    row, column = divmod(int(places[rng.integers(len(places))]), pixels.mask.shape[1])
    return row + 0.5, column + 0.5


def _share(pixels: MaskPixels, one: Object, view: MaskView) -> float:
    """Share of the object's source pixels that the view shows, counted in the source and so free of resampling."""
    corners = np.array([(y, x) for y in (one.top, one.bottom - 1) for x in (one.left, one.right - 1)])
    if view.shows(corners[:, 0], corners[:, 1]).all():
        return 1.0
    rows, columns = np.nonzero(pixels.instances[one.box] == one.id)
    shown = int(view.shows(rows + one.top, columns + one.left).sum())
    return max(shown, 1) / one.area


def _with_ids(mask: Mask, instances: InstanceMap, visible: dict[int, float], picture: Image | None) -> MaskCrop:
    present = set(present_ids(instances))
    return MaskCrop(mask, instances, {number: share for number, share in visible.items() if number in present}, picture)
