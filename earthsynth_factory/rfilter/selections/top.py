"""The best of each class by one rule's value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from earthsynth_factory.domain.spec import Field
from earthsynth_factory.rfilter.selections.base import Bools, Gathered, SelectionSpec


class TopSpec(SelectionSpec):
    """Keeps a number of images of each class."""

    kind: Literal["top"]
    by: str = "clip_score"
    """The rule whose value is looked at."""
    count: int = Field(ge=1)
    """Images kept of each class."""

    def select(self, gathered: Gathered, standing: Bools) -> Mapping[int, str]:
        values = np.nan_to_num(gathered.values_of(self.by, self.kind), nan=-np.inf)
        gone: dict[int, str] = {}
        for places in gathered.groups(standing).values():
            order = places[np.argsort(-values[places], kind="stable")]
            gone |= {
                int(place): f"number {rank} of its class by {self.by}, kept are {self.count}"
                for rank, place in enumerate(order[self.count :], start=self.count + 1)
            }
        return gone
