"""How sharp the seam of what was pasted is: the step in lightness across its outline."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import Image, InstanceMap


def seam_contrast(picture: Image, instances: InstanceMap, ids: Collection[int]) -> float:
    """Mean absolute step in L (CIELAB, 0–100) between neighbours of which one is in an object of `ids` and one on the ground.

    picture: (H, W, 3). instances: (H, W). 0 if there is no such pair.
    """
    light = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    inside, ground = np.isin(instances, list(ids)), instances == 0
    steps: list[npt.NDArray[np.float32]] = []
    for near, far in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        across = (inside[near] & ground[far]) | (ground[near] & inside[far])
        steps.append(np.abs(light[near] - light[far])[across])
    found = np.concatenate(steps)
    return float(found.mean()) if len(found) else 0.0
