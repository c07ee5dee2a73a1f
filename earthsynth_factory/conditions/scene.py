"""A scene being put together: ground, objects put on it one after another, and what is still seen of each."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import cv2
import numpy as np

from earthsynth_factory.conditions.masks.crop import MaskCrop
from earthsynth_factory.conditions.pasting import MARGIN, coverage, in_light, light_of
from earthsynth_factory.conditions.placement import Bits, ObjectStamp, Window, overlap
from earthsynth_factory.domain.masks import pixel_counts, renumbered, run_starts
from earthsynth_factory.geometry.blending import blended
from earthsynth_factory.geometry.components import MAX_COMPONENTS


class ComposedScene:
    """mask (H, W) uint8 and instances (H, W) uint16, growing. Later objects lie on top of earlier ones.

    The ground's own objects keep their pixels and are numbered from 1; what its border hides of them stays hidden.
    picture: (H, W, 3) uint8, if the ground has one; changed: (H, W) bool, where objects were put into it.
    """

    def __init__(self, ground: MaskCrop, match: float = 0.0, gap: int | None = None) -> None:
        """match: how far (0–1) an object's pixels follow the light of their new place.

        gap: pixels between objects; None: they may lie on one another.
        """
        self._ground, self._match = ground.mask, match
        self.picture = None if ground.picture is None else ground.picture.copy()
        self.changed = np.zeros(ground.mask.shape, bool)
        self.mask = ground.mask.copy()
        counts = pixel_counts(ground.instances)
        counts.pop(0, None)
        numbers = np.zeros(max(counts, default=0) + 1, np.uint16)
        numbers[list(counts)] = np.arange(1, len(counts) + 1)
        self.instances = renumbered(ground.instances, numbers)
        self._left = dict(enumerate(counts.values(), start=1))
        shares = [ground.visible.get(old, 1.0) for old in counts]
        self._full = {new: self._left[new] / share for new, share in enumerate(shares, start=1)}
        self._gap = gap
        self._barred = None if gap is None else _around(self.instances > 0, gap)

    def copy(self) -> ComposedScene:
        """The scene as it is now; what is put into the one does not show in the other."""
        twin = copy.copy(self)
        twin.picture = None if self.picture is None else self.picture.copy()
        twin.changed, twin.mask, twin.instances = self.changed.copy(), self.mask.copy(), self.instances.copy()
        twin._left, twin._full = dict(self._left), dict(self._full)
        twin._barred = None if self._barred is None else self._barred.copy()
        return twin

    def count(self, category: int) -> int:
        """Objects of the category that are in the scene now."""
        starts = run_starts(self.instances, self.mask)
        numbers = self.instances.ravel()[starts][self.mask.ravel()[starts] == category]
        return len(set(numbers.tolist()) - {0})

    def free(self, grounds: Iterable[int]) -> Bits:
        """(H, W) True if something may go: on these ground classes, and the gap away from all objects."""
        allowed = np.zeros(256, np.uint8)
        allowed[list(grounds)] = 1
        on = np.asarray(cv2.LUT(self._ground, allowed).view(bool))
        return on if self._barred is None else on & ~self._barred

    def put(self, stamp: ObjectStamp, category: int, top: int, left: int, min_visible: float) -> bool:
        """Lay the object down, unless it would leave less than `min_visible` of an object below it."""
        there, part = overlap(self.mask.shape, stamp, top, left)
        shown = stamp.shape[part]
        below = np.bincount(self.instances[there][shown])
        hidden = {int(number): int(below[number]) for number in np.flatnonzero(below) if number}
        if any(self._left[number] - lost < min_visible * self._full[number] for number, lost in hidden.items()):
            return False
        number = max(self._full, default=0) + 1
        if number > MAX_COMPONENTS:
            return False
        for lower, lost in hidden.items():
            self._left[lower] -= lost
        self._paste(stamp, there, part)
        self.mask[there][shown], self.instances[there][shown] = category, number
        self._left[number], self._full[number] = int(shown.sum()), float(stamp.area)
        self._bar(there, number)
        return True

    def _bar(self, there: Window, number: int) -> None:
        """Keep the gap around a new object clear."""
        if self._gap is None or self._barred is None:
            return
        near = _grown(there, self._gap + 1)
        self._barred[near] |= _around(self.instances[near] == number, self._gap)

    def _paste(self, stamp: ObjectStamp, there: Window, part: Window) -> None:
        """The object's pixels, if they are known, in the light of what is around its place."""
        if self.picture is None or stamp.piece is None:
            return
        around = _grown(there, MARGIN)
        place = light_of(self.picture[around], self.instances[around] == 0)
        pixels = in_light(stamp.piece.pixels[part], stamp.piece.light, place, self._match)
        share = coverage(stamp.shape)[part]
        self.picture[there] = blended(self.picture[there], pixels, share)
        self.changed[there] |= share > 0

    def visible(self) -> dict[int, float]:
        """Instance id → share seen, for every object that is not whole."""
        return {number: left / self._full[number] for number, left in self._left.items() if left < self._full[number]}


def _around(taken: Bits, gap: int) -> Bits:
    """(H, W) True on what is taken and `gap` pixels around it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 3, 2 * gap + 3))  # 1 px more: diagonal touch
    return np.asarray(cv2.dilate(taken.view(np.uint8), disc).view(bool))


def _grown(window: Window, margin: int) -> Window:
    rows, columns = (slice(max(side.start - margin, 0), side.stop + margin) for side in window)
    return rows, columns
