"""Neither trivial nor hopeless: images whose margin lies in a band of their class's margins.

R-Filter is said to keep "more informative" images (arXiv 2505.12108) without saying how; this band is our reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from earthsynth_factory.domain.spec import Field, Span
from earthsynth_factory.rfilter.selections.base import Bools, Gathered, SelectionSpec


class InformativeSpec(SelectionSpec):
    """Keeps the images between two quantiles of their class."""

    kind: Literal["informative"]
    by: str = "clip_score"
    """The rule whose value is looked at."""
    band: Span = Field(default=(0.05, 1.0))
    """Quantiles of the class between which an image is kept, such as `0.1..0.9`."""
    least_images: int = Field(default=10, ge=2)
    """Classes with fewer images are kept whole: their quantiles say nothing."""

    def select(self, gathered: Gathered, standing: Bools) -> Mapping[int, str]:
        values = gathered.values_of(self.by, self.kind)
        gone = {}
        for places in gathered.groups(standing & ~np.isnan(values)).values():
            if len(places) < self.least_images:
                continue
            low, high = np.quantile(values[places], np.clip(self.band, 0, 1))
            for place in places:
                if values[place] < low:
                    gone[int(place)] = f"hopeless ({self.by} {values[place]:.3g} below {low:.3g})"
                elif values[place] > high:
                    gone[int(place)] = f"trivial ({self.by} {values[place]:.3g} above {high:.3g})"
        return gone
