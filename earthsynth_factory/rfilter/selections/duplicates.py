"""No image twice: equal pixels, nearly equal pictures, and copies of the real images that a run is calibrated on.

Nearly equal: perceptual hashes a few bits apart and, if CLIP looked, vectors that agree as well. The first of a
cluster by order of names stays. The thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np

from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.io.compact import Places
from earthsynth_factory.rfilter.selections.base import Bools, Gathered, Prints, SelectionSpec
from earthsynth_factory.rfilter.selections.near_hashes import NearHashes


class DuplicatesSpec(SelectionSpec):
    """Drops copies of earlier images and of real ones."""

    kind: Literal["duplicates"]
    max_bits: int = Field(default=4, ge=0, le=64)
    """Most bits of 64 in which the perceptual hashes of two copies differ."""
    min_cosine: float = Field(default=0.95, ge=-1, le=1)
    """Least cosine of the CLIP vectors of two copies, if both are known."""

    def select(self, gathered: Gathered, standing: Bools) -> Mapping[int, str]:
        prints, gone = gathered.prints, dict[int, str]()
        kept = _Seen(self, prints)
        for place in np.flatnonzero(standing).tolist():
            twin = kept.first_twin(prints, place)
            if twin is None:
                kept.add(place)
            else:
                exact = prints.digests[place] == prints.digests[twin]
                gone[place] = f"{'the same as' if exact else 'nearly the same as'} {prints.names[twin]}"
        if gathered.real is not None:
            real = _Seen(self, gathered.real)
            for place in range(len(gathered.real.names)):
                real.add(place)
            for place in np.flatnonzero(standing).tolist():
                twin = None if place in gone else real.first_twin(prints, place)
                if twin is not None:
                    gone[place] = f"a copy of the real image {gathered.real.names[twin]}"
        return gone


class _Seen:
    """Images that others are compared with: those of a run that stay, or the real ones."""

    def __init__(self, spec: DuplicatesSpec, prints: Prints) -> None:
        self._least, self._prints = spec.min_cosine, prints
        self._hashes, self._digests = NearHashes(spec.max_bits, prints.hashes), Places()

    def add(self, place: int) -> None:
        self._hashes.add(place)
        self._digests.add(self._prints.digests[place], place)

    def first_twin(self, prints: Prints, place: int) -> int | None:
        """The first of them that the image is a copy of."""
        same = self._digests.get(prints.digests[place])
        near = self._hashes.near(int(prints.hashes[place]))
        alike = next((other for other in near if self._agree(prints, place, other)), None)
        return min((found for found in (same, alike) if found is not None), default=None)

    def _agree(self, prints: Prints, place: int, other: int) -> bool:
        """Whether the vectors do not speak against it; an unknown one says nothing."""
        if prints.vectors is None or self._prints.vectors is None:
            return True
        return not float(prints.vectors[place] @ self._prints.vectors[other]) < self._least


def perceptual_hash(image: Image) -> int:
    """64 bits of an (H, W, 3) image's coarse structure: signs of its lowest cosine frequencies around their median."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
