"""How sharp seams are: of what was pasted, across its outline; of a picture made in windows, where windows begin and end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import Image, InstanceMap
from earthsynth_factory.geometry.windows import windows_of


def seam_contrast(picture: Image, instances: InstanceMap, ids: Collection[int]) -> float:
    """Mean absolute step in L (CIELAB, 0–100) between neighbours of which one is in an object of `ids` and one on the ground.

    picture: (H, W, 3). instances: (H, W). 0 if there is no such pair.
    """
    light = _lightness(picture)
    inside, ground = np.isin(instances, list(ids)), instances == 0
    steps: list[npt.NDArray[np.float32]] = []
    for near, far in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        across = (inside[near] & ground[far]) | (ground[near] & inside[far])
        steps.append(np.abs(light[near] - light[far])[across])
    found = np.concatenate(steps)
    return float(found.mean()) if len(found) else 0.0


@dataclass(frozen=True)
class WindowSeams:
    """Mean absolute steps in L (0–100) between neighbouring rows and columns.

    borders: where a window begins or ends. cells: at other borders of the model's cells, whose decoder has a grain of its
    own. elsewhere: between all other rows. stray: how far the mean of this many rows as `borders` has strays by chance.
    """

    borders: float
    cells: float
    elsewhere: float
    stray: float

    @property
    def shows(self) -> bool:
        """Whether windows stand out by more than twice what chance does."""
        return self.borders > max(self.cells, self.elsewhere) + 2 * self.stray


def window_seams(picture: Image, side: int, cell: int) -> WindowSeams:
    """Of a picture (H, W, 3) made in windows of `side` pixels that begin at multiples of `cell`."""
    light, windows = _lightness(picture), windows_of(picture.shape[:2], side, cell)
    at: list[npt.NDArray[np.float32]] = []
    for axis, starts in ((0, {one.top for one in windows}), (1, {one.left for one in windows})):
        steps = np.abs(np.diff(light, axis=axis)).mean(axis=1 - axis)
        row = np.arange(1, len(steps) + 1)
        window = np.isin(row, [place for start in starts for place in (start, start + side)])
        kind = np.select([window, row % cell == 0], [0, 1], 2)
        at.append(np.stack([steps, kind]))
    steps, kind = np.concatenate(at, axis=1)
    borders, cells, elsewhere = (steps[kind == number] for number in range(3))
    stray = float(np.std(np.concatenate([cells, elsewhere])) / np.sqrt(len(borders)))
    return WindowSeams(float(borders.mean()), float(cells.mean()), float(elsewhere.mean()), stray)


def _lightness(picture: Image) -> npt.NDArray[np.float32]:
    """(H, W) L of CIELAB, 0–100."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0])
