"""A share of each class that covers it best: farthest points among the CLIP vectors.

From the image nearest to the middle of its class on, the one farthest from all chosen is chosen next. Ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.spec import Field
from earthsynth_factory.errors import InputError
from earthsynth_factory.rfilter.selections.base import Bools, Gathered, SelectionSpec


class DiverseSpec(SelectionSpec):
    """Keeps the share of each class that is most unlike itself."""

    kind: Literal["diverse"]
    share: float = Field(default=0.8, gt=0, le=1)
    """Share of each class that is kept; at least one image."""

    def select(self, gathered: Gathered, standing: Bools) -> Mapping[int, str]:
        vectors = gathered.prints.vectors
        if vectors is None:
            raise InputError("diverse: compares images with CLIP; ask a rule that looks with CLIP, such as clip_score")
        gone: dict[int, str] = {}
        for of_class in gathered.groups(standing).values():
            rows = vectors[of_class]
            known = ~np.isnan(rows).any(axis=1)
            places = of_class[known]
            if len(places):
                kept = set(farthest_points(rows[known], max(1, round(self.share * len(places)))))
                gone |= {
                    int(place): "too like others of its class" for at, place in enumerate(places) if at not in kept
                }
        return gone


def farthest_points(vectors: npt.NDArray[np.float32], count: int) -> list[int]:
    """`count` rows of (N, D) unit vectors, each the farthest from those before it; of equals the first."""
    chosen = [int((vectors @ vectors.mean(axis=0)).argmax())]
    nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    return chosen
