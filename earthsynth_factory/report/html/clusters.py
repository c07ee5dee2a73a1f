"""Near duplicates among kept images: perceptual hashes a few bits apart, joined into clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import SourceError
from earthsynth_factory.report.html.model import ReportImage
from earthsynth_factory.rfilter.selections.duplicates import perceptual_hash

BITS = 4
"""Hashes of 64 bits that differ in no more are of near duplicates, as the `duplicates` selection has it by default."""


@dataclass(frozen=True)
class Clusters:
    """groups: near duplicates, the largest cluster first, members by name. compared: images looked at."""

    groups: tuple[tuple[ReportImage, ...], ...]
    compared: int
    unreadable: int


def find_clusters(entries: Sequence[ReportImage]) -> Clusters:
    """Read and compare these images. Memory: 8 bytes an image, and one image."""
    hashes: list[int] = []
    readable: list[ReportImage] = []
    for entry in sorted(entries, key=lambda entry: entry.key):
        assert entry.pixels, "kept images have pixels"
        try:
            hashes.append(perceptual_hash(entry.pixels().image))
            readable.append(entry)
        except SourceError:
            continue
    groups: dict[int, list[ReportImage]] = {}
    for entry, root in zip(readable, _roots(np.array(hashes, np.uint64)), strict=True):
        groups.setdefault(root, []).append(entry)
    found = sorted(
        (group for group in groups.values() if len(group) > 1), key=lambda group: (-len(group), group[0].key)
    )
    return Clusters(tuple(map(tuple, found)), len(readable), len(entries) - len(readable))


def _roots(hashes: npt.NDArray[np.uint64]) -> list[int]:
    """For each hash the place of the first in its cluster: chains of near pairs are one cluster."""
    roots = list(range(len(hashes)))

    def root(place: int) -> int:
        while roots[place] != place:
            roots[place] = place = roots[roots[place]]
        return place

    for row, value in enumerate(hashes):
        octets = (hashes[:row] ^ value).view(np.uint8).reshape(row, 8)
        near = np.flatnonzero(np.unpackbits(octets, axis=1).sum(axis=1) <= BITS)
        for place in near.tolist():
            low, high = sorted((root(place), root(row)))
            roots[high] = low
    return [root(place) for place in range(len(hashes))]
