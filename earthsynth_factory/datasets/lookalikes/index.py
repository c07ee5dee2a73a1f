"""Thumbnails of all images of a dataset, and which of them look the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import IO, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.lookalikes.invariants import (
    SAME,
    SIDE,
    Bools,
    Floats,
    Places,
    Thumbnails,
    invariants,
    likenesses,
    may_look_the_same,
    shortened,
)
from earthsynth_factory.datasets.lookalikes.seekers import Nearest, Seeker, Together
from earthsynth_factory.datasets.lookalikes.tree import ImageTree

NUMBERS = 24
"""Numbers of an image that are kept in memory and compared first; only of those that are near by them all are."""
TOGETHER = 16
"""Leaves that another is compared with while its thumbnails are at hand."""
BLOCK = 1024
"""Images whose numbers are computed at a time."""


class Alike(NamedTuple):
    """An image of a set, and one of an earlier set that looks the same; places."""

    earlier: int
    later: int
    one: int
    other: int


class Lookalikes:
    """Images in the order they were added. Memory: 100 bytes an image; thumbnails lie in the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._numbers = file, bytearray()
        self._waiting: list[Thumbnails] = []
        self.flat = 0
        """Images of a single grey, which look like no other and like all; they are compared with none."""

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """(H, W, 3). Raises OSError if the file cannot be written."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        thumbnail = np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        self.flat += int(np.ptp(thumbnail) == 0)
        self._file.write(thumbnail.tobytes())
        self._waiting.append(thumbnail)
        if len(self._waiting) == BLOCK:
            self._note()

    def nearest(self, sets: Sequence[Places], progress: Callable[[int], None] = lambda _: None) -> Iterator[Alike]:
        """For every image, and every earlier set that has the like, the nearest of that set. Sets have no image in common.

        progress: called with how many more images were compared.
        """
        trees = [ImageTree.of(places, self._all_numbers()) for places in sets]
        for later, tree in enumerate(trees):
            progress(len(sets[later]) - sum(map(len, tree.leaves)))
            for _, part in tree.parts(TOGETHER):
                ones = np.concatenate(part.leaves)
                for earlier in range(later):
                    best = Nearest(ones)
                    self._seek(best, part, trees[earlier])
                    yield from (Alike(earlier, later, one, other) for one, other in best.found())
                progress(len(ones))

    def together(self, groups: Places, progress: Callable[[int], None] = lambda _: None) -> Places:
        """Of each group the first of those with which it shares images that look the same, also through others; itself if
        there is none. groups: (n,) a group's number for each image. progress: as of `nearest`.
        """
        tree = ImageTree.of(np.arange(len(groups)), self._all_numbers())
        joined = Together(groups)
        progress(len(groups) - sum(map(len, tree.leaves)))
        for first, part in tree.parts(TOGETHER):
            self._seek(joined, part, tree, within=first)
            progress(sum(map(len, part.leaves)))
        return joined.joined()

    def _seek(self, seeker: Seeker, part: ImageTree, others: ImageTree, within: int | None = None) -> None:
        """Compare every leaf of `part` with those of `others`; each two once if part is of that tree, from this leaf on."""
        reaches = part.reaches(others)
        reaches = reaches if within is None else np.triu(reaches, within)
        mine = [_Leaf(self, places) for places in part.leaves]
        for column in np.flatnonzero(reaches.any(axis=0)).tolist():
            theirs = _Leaf(self, others.leaves[column])
            for row in np.flatnonzero(reaches[:, column]).tolist():
                _compare(mine[row], theirs, seeker)

    def numbers(self, places: Places) -> Floats:
        """(n, NUMBERS) of these images."""
        return self._all_numbers()[places]

    def thumbnails(self, places: Places) -> Thumbnails:
        """Of these images, in ascending order or not. Raises OSError."""
        size, pieces = SIDE * SIDE, []
        for place in places.tolist():
            self._file.seek(place * size)
            pieces.append(self._file.read(size))
        return np.frombuffer(b"".join(pieces), np.uint8).reshape(-1, SIDE, SIDE)

    def _all_numbers(self) -> Floats:
        """(n, NUMBERS) of all images that were added; their thumbnails are in the file."""
        self._note()
        return np.frombuffer(self._numbers, np.float32).reshape(-1, NUMBERS)

    def _note(self) -> None:
        """Take in the numbers of the images that wait."""
        if self._waiting:
            self._numbers += shortened(invariants(np.stack(self._waiting)), NUMBERS).tobytes()
            self._waiting = []
            self._file.flush()


class _Leaf:
    """Some images while they are compared."""

    def __init__(self, looks: Lookalikes, places: Places) -> None:
        self._looks, self.places = looks, places
        self.few = looks.numbers(places)

    @cached_property
    def thumbnails(self) -> Thumbnails:
        return self._looks.thumbnails(self.places)

    @cached_property
    def every(self) -> Floats:
        return invariants(self.thumbnails)


def _compare(mine: _Leaf, theirs: _Leaf, seeker: Seeker) -> None:
    """By a few numbers, then by all, then as they look; each time only what is left."""
    sought = seeker.sought(mine.places, theirs.places)
    rows, columns = np.flatnonzero(sought.any(axis=1)), np.arange(len(theirs.places))
    if not len(rows):
        return
    pairs = may_look_the_same(mine.few[rows], theirs.few)
    pairs &= sought[rows]
    pairs, rows, columns = _left(pairs, rows, columns)
    if not pairs.size:
        return
    pairs &= may_look_the_same(mine.every[rows], theirs.every[columns])
    pairs, rows, columns = _left(pairs, rows, columns)
    if not pairs.size:
        return
    scores = likenesses(mine.thumbnails[rows], theirs.thumbnails[columns])
    row, column = np.nonzero(pairs & (scores >= SAME))
    seeker.take(mine.places[rows[row]], theirs.places[columns[column]], scores[row, column])


def _left(pairs: Bools, rows: Places, columns: Places) -> tuple[Bools, Places, Places]:
    """Without the rows and columns that have no pair."""
    some, others = pairs.any(axis=1), pairs.any(axis=0)
    return pairs[np.ix_(some, others)], rows[some], columns[others]
