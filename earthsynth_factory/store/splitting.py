"""Splitting by group, and what leaks between splits: one group in two of them, or two images that look the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.splits import assign_groups
from earthsynth_factory.errors import InputError
from earthsynth_factory.store.dataset import LabelledDataset

USUAL = ("train", "val", "test")
SIDE = 16
"""Images are compared as grey thumbnails of this many pixels a side."""
SAME = 0.98
"""Two thumbnails that correlate this highly show the same. A number of ours, not calibrated."""
BITS = 4
"""Bits of 64 in which the difference hashes of such a pair may differ."""
CROWDED = 2000
"""A hash shared by more images than this tells nothing (images without features); they are counted, not compared."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """groups: group → its splits, where these are several. alike: pairs of (split, stem). uncompared: images."""

    groups: Mapping[str, tuple[str, ...]]
    alike: tuple[tuple[tuple[str, str], tuple[str, str]], ...]
    uncompared: int


def parse_ratios(text: str) -> dict[str, float]:
    """`0.8,0.1,0.1` (train, val, test) or `train=0.8,val=0.2` → split → share. Raises InputError unless they sum to 1."""
    parts = [part.strip() for part in text.split(",")]
    named = [part.rpartition("=") for part in parts]
    if len(parts) > len(USUAL) and not all(equals for _, equals, _ in named):
        raise InputError(f"--ratios {text}: more than three shares need names: train=0.7,val=0.1,…")
    try:
        pairs = [(name.strip() or USUAL[place], float(share)) for place, (name, _, share) in enumerate(named)]
    except ValueError:
        raise InputError(f"--ratios {text}: write shares, 0.8,0.1,0.1 or train=0.8,val=0.2") from None
    shares = dict(pairs)
    if len(shares) < len(pairs):
        raise InputError(f"--ratios {text}: a split is named twice")
    if any(not name.isidentifier() for name in shares):
        raise InputError(f"--ratios {text}: names of splits are letters, digits and underscores")
    if not all(0 < share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"--ratios {text}: the shares sum to {sum(shares.values()):g}; they are above 0 and sum to 1")
    return shares


def split_groups(dataset: LabelledDataset, shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Group → split. Raises InputError where there are fewer groups than splits."""
    groups: dict[str, set[int]] = {}
    for record in dataset.samples():
        groups.setdefault(record.origin.group, set()).update(record.classes)
    if len(groups) < len(shares):
        raise InputError(
            f"{dataset.root}: {len(groups)} groups cannot fill {len(shares)} splits; a group (a scene, a layout) stays whole"
        )
    return assign_groups(groups, shares, seed)


def find_leaks(dataset: LabelledDataset, progress: Callable[[int], None]) -> Leaks:
    """Look at every image once. Memory: 256 bytes an image and its name. Raises SourceError for an unreadable one."""
    places: list[tuple[str, str]] = []
    thumbnails: list[npt.NDArray[np.uint8]] = []
    splits_of: defaultdict[str, set[str]] = defaultdict(set)
    for record in dataset.samples():
        places.append((record.split, record.stem))
        thumbnails.append(_thumbnail(dataset.image(record)))
        splits_of[record.origin.group].add(record.split)
        progress(1)
    torn = {group: tuple(sorted(splits)) for group, splits in splits_of.items() if len(splits) > 1}
    pairs, uncompared = _alike(thumbnails, [split for split, _ in places])
    return Leaks(torn, tuple((places[one], places[other]) for one, other in pairs), uncompared)


def _thumbnail(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _alike(thumbnails: list[npt.NDArray[np.uint8]], splits: list[str]) -> tuple[list[tuple[int, int]], int]:
    """Pairs of images of different splits that look the same, ascending; and how many images were not compared."""
    hashes = [_hash(thumbnail) for thumbnail in thumbnails]
    found: set[tuple[int, int]] = set()
    skipped: Counter[int] = Counter()
    for bucket in _buckets(hashes):
        if len(bucket) > CROWDED:
            skipped.update(bucket)
            continue
        for one, other in combinations(bucket, 2):
            if (
                splits[one] != splits[other]
                and (hashes[one] ^ hashes[other]).bit_count() <= BITS
                and _correlation(thumbnails[one], thumbnails[other]) >= SAME
            ):
                found.add((one, other))
    return sorted(found), len(skipped)


def _hash(thumbnail: npt.NDArray[np.uint8]) -> int:
    """64 bits: whether each of 8 × 8 fields is brighter than its right neighbour."""
    fields = cv2.resize(thumbnail, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(fields[:, :-1] > fields[:, 1:]).tobytes(), "big")


def _buckets(hashes: list[int]) -> Iterator[list[int]]:
    """Images that share one of `BITS` + 1 parts of the hash: two that differ in at most `BITS` bits share a part."""
    edges = [round(part * 64 / (BITS + 1)) for part in range(BITS + 2)]
    for low, high in pairwise(edges):
        buckets: defaultdict[int, list[int]] = defaultdict(list)
        for number, value in enumerate(hashes):
            buckets[value >> low & (1 << high - low) - 1].append(number)
        yield from (bucket for bucket in buckets.values() if len(bucket) > 1)


def _correlation(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """−1 … 1; two flat thumbnails correlate where they are of one grey."""
    left, right = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((left**2).sum() * (right**2).sum()))
    return float((left * right).sum() / scale) if scale else float(np.array_equal(one, other))
