"""No image twice: equal pixels, nearly equal pictures, and copies of the real images that a run is calibrated on.

Nearly equal: perceptual hashes a few bits apart and, where CLIP looked, vectors that agree as well. The first of a
cluster by order of names stays. The thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.rfilter.selections.base import Bools, Gathered, Prints, SelectionSpec

ROWS = 512
"""Images compared with all others at a time: bounds memory."""


class DuplicatesSpec(SelectionSpec):
    """Drops copies of earlier images and of real ones."""

    kind: Literal["duplicates"]
    max_bits: int = Field(default=4, ge=0, le=64)
    """Most bits of 64 in which the perceptual hashes of two copies differ."""
    min_cosine: float = Field(default=0.95, ge=-1, le=1)
    """Least cosine of the CLIP vectors of two copies, where both are known."""

    def select(self, gathered: Gathered, standing: Bools) -> Mapping[int, str]:
        gone: dict[int, str] = {}
        places = np.flatnonzero(standing)
        own = _part(gathered.prints, places)
        for row, twins in self._twins(own, own):
            earlier = [twin for twin in twins if twin < row and int(places[twin]) not in gone]
            if earlier:
                exact = own.digests[row] == own.digests[earlier[0]]
                gone[int(places[row])] = f"{'the same as' if exact else 'nearly the same as'} {own.names[earlier[0]]}"
        if gathered.real is not None:
            for row, twins in self._twins(own, gathered.real):
                if len(twins):
                    gone.setdefault(int(places[row]), f"a copy of the real image {gathered.real.names[twins[0]]}")
        return gone

    def _twins(self, ours: Prints, others: Prints) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """For each of ours the places of its copies among the others, ascending."""
        found = []
        for start in range(0, len(ours.names), ROWS):
            part = _part(ours, np.arange(start, min(start + ROWS, len(ours.names))))
            same = np.array(part.digests)[:, None] == np.array(others.digests)[None]
            near = _bits(part.hashes[:, None] ^ others.hashes[None]) <= self.max_bits
            if part.vectors is not None and others.vectors is not None:
                near &= ~(part.vectors @ others.vectors.T < self.min_cosine)  # an unknown vector says nothing
            found += [(start + row, np.flatnonzero(twins)) for row, twins in enumerate(same | near)]
        return found


def perceptual_hash(image: Image) -> int:
    """64 bits of an (H, W, 3) image's coarse structure: signs of its lowest cosine frequencies around their median."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _bits(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    octets = np.ascontiguousarray(numbers).view(np.uint8).reshape(*numbers.shape, 8)
    return np.asarray(_ONES[octets].sum(axis=-1))


_ONES = np.array([number.bit_count() for number in range(256)])


def _part(prints: Prints, places: npt.NDArray[np.int64]) -> Prints:
    return Prints(
        [prints.names[place] for place in places],
        [prints.digests[place] for place in places],
        prints.hashes[places],
        None if prints.vectors is None else prints.vectors[places],
    )
