"""Images that look the same, however turned or mirrored, found among millions.

Images are compared as grey thumbnails of `SIDE` pixels. Before two are compared in all eight orientations, a few numbers of
each, which no orientation changes, must be near: a pair that looks the same is never lost by it. Turning and mirroring only
exchange the cosine coefficients (u, v) and (v, u) and change their signs, so that the length of each such pair stays, and
the lengths of two images lie no farther apart than the images do in any orientation. Ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

Thumbnails = npt.NDArray[np.uint8]
"""(n, SIDE, SIDE) grey, or one (SIDE, SIDE)."""
Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

SIDE = 16
SAME = 0.97
"""Two thumbnails that correlate this highly, in whichever orientation, show the same.

Calibrated on NWPU VHR-10, GID and crops of the Dubai tiles (128, 256 and 512 px). Of 1,361 images it finds again, after
JPEG at quality 40: 98.0 %, half the size: 99.5 %, gamma 1.4 and a quarter turn: 97.9 %, noise of 8 grey levels: 98.3 %,
mirroring and JPEG at 60: 98.8 %, 1.2 × brighter and clipped: 84.9 %, moved by 1 % of the side: 94.1 %, by 3 %: 13.3 %. Of
9,321 pairs of neighbouring crops it takes 1 for the same, of 8.5 million other pairs 16 (bare coasts, and one true
double). At 0.98 clipped brightness falls to 81.9 % and a move by 1 % to 79.7 %, for 1 and 13 pairs less.
"""
NUMBERS = 24
"""Lengths of an image that are compared at first: those of its coarsest pairs of coefficients."""
MARGIN = 1e-4
"""What rounding may take away."""
REACH = float(np.sqrt(2 * (1 - SAME))) + MARGIN
"""How far the numbers of two that show the same may lie apart."""
BLOCK = 1024
"""Images compared with this many others at a time."""
DENSE = 1 << 16
"""Pairs of a block beyond which only the likeliest other of each image is looked at: nearly all are alike then."""


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

    def nearest(self, ones: Places, others: Places) -> Iterator[tuple[int, int]]:
        """For each of `ones` of which `others` has the like: its place and that of the nearest other."""
        numbers = self._all_numbers()
        others = _ordered(others, numbers)
        for first in range(0, len(ones), BLOCK):
            block = ones[first : first + BLOCK]
            block = block[numbers[block].any(axis=1)]
            best = _Best(block)
            if len(block):
                low, high = numbers[block, 0].min() - REACH, numbers[block, 0].max() + REACH
                start, end = np.searchsorted(numbers[others, 0], [low, high])
                for at in range(int(start), int(end), BLOCK):
                    self._compare(best, others[at : min(at + BLOCK, int(end))], numbers)
            yield from best.found()

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Places of two images that look the same, some pairs twice. Of very many alike each is named with its nearest."""
        numbers = self._all_numbers()
        places = _ordered(np.arange(len(numbers)), numbers)
        for first in range(0, len(places), BLOCK):
            every = _Every(places[first : first + BLOCK])
            reached = numbers[every.ones[-1], 0] + REACH
            end = int(np.searchsorted(numbers[places, 0], reached, side="right"))
            for at in range(first, end, BLOCK):
                self._compare(every, places[at : min(at + BLOCK, end)], numbers)
            yield from every.found()

    def _compare(self, best: _Best | _Every, others: Places, numbers: Floats) -> None:
        mine, theirs = numbers[best.ones], numbers[others]
        apart = (mine**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2 * mine @ theirs.T
        same = best.ones[:, None] == others
        near = (apart <= 2 * (1 - SAME) + MARGIN) & ~same
        if np.count_nonzero(near) > DENSE:
            turned, units = self._turned(best.ones), _unit(self._read(others))
            scores = np.maximum.reduce([one @ units.T for one in turned])
            scores[same] = -1
            best.take(np.arange(len(best.ones)), others[scores.argmax(axis=1)], scores.max(axis=1))
            return
        rows, columns = np.nonzero(near)
        for at in range(0, len(rows), BLOCK):
            some, their = rows[at : at + BLOCK], others[columns[at : at + BLOCK]]
            units = _unit(self._read(their))
            scores = np.maximum.reduce([(one * units).sum(axis=1) for one in self._turned(best.ones[some])])
            best.take(some, their, scores)

    def _turned(self, places: Places) -> list[Floats]:
        """(n, SIDE²) in all eight orientations."""
        thumbnails = self._read(places)
        both = thumbnails, thumbnails[:, :, ::-1]
        return [_unit(np.rot90(seen, turns, axes=(1, 2))) for seen in both for turns in range(4)]

    def _read(self, places: Places) -> Thumbnails:
        size, pieces = SIDE * SIDE, []
        for place in places.tolist():
            self._file.seek(place * size)
            pieces.append(self._file.read(size))
        return np.frombuffer(b"".join(pieces), np.uint8).reshape(-1, SIDE, SIDE)

    def _all_numbers(self) -> Floats:
        """(n, NUMBERS) of all images that were added; their thumbnails are in the file."""
        self._note()
        self._file.flush()
        return np.frombuffer(self._numbers, np.float32).reshape(-1, NUMBERS)

    def _note(self) -> None:
        """Take in the numbers of the images that wait."""
        if self._waiting:
            self._numbers += lengths(np.stack(self._waiting)).tobytes()
            self._waiting = []


def _ordered(places: Places, numbers: Floats) -> Places:
    """Those that are no single grey, by their first number."""
    places = places[numbers[places].any(axis=1)]
    return np.asarray(places[numbers[places, 0].argsort(kind="stable")])


class _Best:
    """The nearest other of each of some images, so far; of equals the first."""

    def __init__(self, ones: Places) -> None:
        self.ones = ones
        self._scores, self._others = np.zeros(len(ones), np.float32), np.full(len(ones), -1, np.int64)

    def take(self, rows: Places, others: Places, scores: Floats) -> None:
        """Which of `ones` (rows, which may stand several times), with which others, how alike."""
        for row, other, score in zip(rows.tolist(), others.tolist(), scores.tolist(), strict=True):
            if score >= SAME and (-score, other) < (-float(self._scores[row]), int(self._others[row])):
                self._scores[row], self._others[row] = score, other

    def found(self) -> Iterator[tuple[int, int]]:
        """Places of those that have one, and of the other."""
        for row in np.flatnonzero(self._others >= 0):
            yield int(self.ones[row]), int(self._others[row])


class _Every:
    """All others that look the same as some images, so far."""

    def __init__(self, ones: Places) -> None:
        self.ones, self._pairs = ones, list[tuple[int, int]]()

    def take(self, rows: Places, others: Places, scores: Floats) -> None:
        """As `_Best`."""
        alike = scores >= SAME
        self._pairs += zip(self.ones[rows[alike]].tolist(), others[alike].tolist(), strict=True)

    def found(self) -> list[tuple[int, int]]:
        """Places of the pairs."""
        return self._pairs


def lengths(thumbnails: Thumbnails) -> Floats:
    """(n, NUMBERS): of the coarsest pairs of cosine coefficients, the whole taken as 1; zeros for a single grey."""
    basis, one, other, weight = _pairs()
    grey = _unit(thumbnails).reshape(-1, SIDE, SIDE)
    found = basis @ grey @ basis.T
    squares = found**2
    return np.sqrt(squares[:, one, other] + weight * squares[:, other, one])


@cache
def _pairs() -> tuple[Floats, Places, Places, Floats]:
    """(SIDE, SIDE) orthonormal cosine basis; u and v of each pair, u ≤ v, coarsest first; 0 if both are one, else 1."""
    u, v = np.triu_indices(SIDE)
    order = (u**2 + v**2).argsort(kind="stable")[1 : NUMBERS + 1]  # the first is the mean
    rows, columns = np.mgrid[:SIDE, :SIDE]
    basis = np.cos(np.pi * rows * (2 * columns + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32), u[order], v[order], (u != v)[order].astype(np.float32)


def _unit(thumbnails: Thumbnails) -> Floats:
    """(n, SIDE²) of mean 0 and length 1, so that products are correlations; a flat one is 0 and correlates with none."""
    rows = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(length > 0, length, 1)
    return rows
