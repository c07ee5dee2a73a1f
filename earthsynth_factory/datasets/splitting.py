"""Splitting by group, and what leaks between splits: one group in two of them, or two images that look the same."""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.lookalikes.index import Lookalikes
from earthsynth_factory.domain.splits import assign_groups
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.atomic import disk_error
from earthsynth_factory.io.compact import DIGEST, Texts

USUAL = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Leaks:
    """groups: group → its splits, if these are several.

    alike: for every image of which an earlier split has the like, the nearest such image and itself, as (split, stem).
    uncompared: images of a single grey, which look like no other and like all.
    """

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


@contextmanager
def thumbnails_of(dataset: LabelledDataset, progress: Callable[[int], None]) -> Iterator[Lookalikes]:
    """Every image of a dataset as a thumbnail in a temporary file. Memory: 100 bytes an image.

    Raises SourceError for an unreadable image, DiskError.
    """
    with ExitStack() as stack:
        with _temporary_disk():
            looks = Lookalikes(stack.enter_context(tempfile.TemporaryFile()))
            for record in dataset.samples():
                looks.add(dataset.image(record))
                progress(1)
        yield looks


@contextmanager
def _temporary_disk() -> Iterator[None]:
    """Raises DiskError for what goes wrong with thumbnails."""
    try:
        yield
    except OSError as error:
        raise disk_error(Path(tempfile.gettempdir()), error) from error


def groups_for(dataset: LabelledDataset, shares: Mapping[str, float]) -> dict[str, frozenset[int]]:
    """Group → classes that its images hold. Raises InputError if there are fewer groups than splits."""
    groups: dict[str, frozenset[int]] = {}
    shared: dict[frozenset[int], frozenset[int]] = {}  # there are few different ones, and many groups
    for record in dataset.samples():
        found = groups.get(record.origin.group, frozenset()).union(record.classes)
        groups[record.origin.group] = shared.setdefault(found, found)
    if len(groups) < len(shares):
        raise InputError(
            f"{dataset.root}: {len(groups)} groups cannot fill {len(shares)} splits; a group (a scene, a layout) stays whole"
        )
    return groups


def split_groups(
    dataset: LabelledDataset,
    groups: Mapping[str, frozenset[int]],
    looks: Lookalikes,
    shares: Mapping[str, float],
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, str]:
    """Group → split. Groups that have images which look the same go together: they show one place.

    If so many look the same that they cannot fill the splits, groups are dealt out as they are. groups: by `groups_for`.
    looks: all images of the dataset. progress: called with how many more were compared. Raises DiskError.
    """
    first_of = _first_alike(dataset, looks, sorted(groups), progress)
    together: dict[str, frozenset[int]] = {}
    for group, first in first_of.items():
        together[first] = together.get(first, frozenset()) | groups[group]
    if len(together) < len(shares):
        return assign_groups(groups, shares, seed)
    split_of = assign_groups(together, shares, seed)
    return {group: split_of[first] for group, first in first_of.items()}


def _first_alike(
    dataset: LabelledDataset, looks: Lookalikes, groups: Sequence[str], progress: Callable[[int], None]
) -> Mapping[str, str]:
    """Group → the first of those that it shares look-alike images with, also through others; itself if there is none."""
    numbers = {group: number for number, group in enumerate(groups)}
    of_image = array("q", (numbers[record.origin.group] for record in dataset.samples()))
    with _temporary_disk():
        first = looks.together(np.frombuffer(of_image, np.int64), progress)
    return {group: groups[first[number]] for group, number in numbers.items()}


def find_leaks(dataset: LabelledDataset, looks: Lookalikes, progress: Callable[[int], None] = lambda _: None) -> Leaks:
    """looks, progress: as of `split_groups`. Memory: some 150 bytes an image. Raises DiskError."""
    stems, groups, numbers = Texts(), _Groups(), {split: number for number, split in enumerate(dataset.splits)}
    of_image = bytearray()
    for record in dataset.samples():
        stems.append(record.stem)
        of_image.append(numbers[record.split])
        groups.add(record.origin.group, numbers[record.split])
    splits = [np.flatnonzero(np.frombuffer(of_image, np.uint8) == number) for number in range(len(dataset.splits))]
    with _temporary_disk():
        alike = sorted(looks.nearest(splits, progress))
    names = dataset.splits
    named = (((names[pair.earlier], stems[pair.other]), (names[pair.later], stems[pair.one])) for pair in alike)
    return Leaks(groups.torn(dataset), tuple(named), looks.flat)


class _Groups:
    """In which splits each group is. Groups are known by digests, since there may be as many as images."""

    def __init__(self) -> None:
        self._digests, self._splits = bytearray(), bytearray()

    def add(self, group: str, split: int) -> None:
        """An image of the group lies in the split of this number."""
        self._digests += _digest(group)
        self._splits.append(split)

    def torn(self, dataset: LabelledDataset) -> dict[str, tuple[str, ...]]:
        """Group → its splits, if these are several."""
        digests = np.frombuffer(self._digests, f"V{DIGEST}").view(f"S{DIGEST}")
        _, which = np.unique(digests, return_inverse=True)
        splits = np.frombuffer(self._splits, np.uint8)
        low, high = np.full(len(which), 255, np.uint8), np.zeros(len(which), np.uint8)
        np.minimum.at(low, which, splits)
        np.maximum.at(high, which, splits)
        several = (low < high)[which]
        found: dict[str, set[str]] = {}
        if several.any():
            for torn, record in zip(several.tolist(), dataset.samples(), strict=True):
                if torn:
                    found.setdefault(record.origin.group, set()).add(record.split)
        return {group: tuple(sorted(names)) for group, names in found.items()}


def _digest(group: str) -> bytes:
    return hashlib.blake2b(group.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
