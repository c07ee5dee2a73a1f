"""Whether compressed run lengths are those of a mask of some size, for many at once: readers of COCO trust what they get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earthsynth_factory.geometry.rle import RunLengthError

MAX_GROUPS = 8
"""Groups of five bits of one number: none of a mask that we know of has as many."""


def check_runs(texts: Sequence[str], height: int, width: int) -> None:
    """Raises RunLengthError that names the first text whose counts are none, negative, or do not cover (height, width)."""
    if not texts:
        return
    lengths = np.array([len(text) for text in texts])
    bits = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8).astype(np.int64) - 48
    ends = (bits & 32) == 0
    last = np.cumsum(lengths) - 1
    if not lengths.all() or bits.min() < 0 or bits.max() > 63 or not ends[last].all():
        raise RunLengthError("run lengths that are no compressed counts")
    # Numbers: their groups, their text, their place in it.
    begins = np.flatnonzero(np.append(True, ends[:-1]))
    groups = np.diff(np.append(begins, len(bits)))
    of_text = np.repeat(np.arange(len(texts)), lengths)[begins]
    place = np.arange(len(begins)) - np.searchsorted(of_text, np.arange(len(texts)))[of_text]
    if groups.max() > MAX_GROUPS:
        raise RunLengthError(f"run lengths {texts[int(of_text[groups.argmax()])][:40]!r} hold numbers of no mask")
    within = np.arange(len(bits)) - np.repeat(begins, groups)
    values = np.add.reduceat((bits & 31) << (5 * within), begins)
    values -= np.where(bits[begins + groups - 1] & 16, 1 << (5 * groups), 0)
    # From the third on, each is its difference to the one two before: running sums over the odd and the even ones.
    chain = 3 * of_text + np.where(place == 0, 0, 1 + place % 2)
    order = np.argsort(chain, kind="stable")
    sums = np.cumsum(values[order])
    starts = np.flatnonzero(np.append(True, np.diff(chain[order]) != 0))
    sums -= np.repeat(sums[starts] - values[order][starts], np.diff(np.append(starts, len(order))))
    counts = np.empty_like(values)
    counts[order] = sums
    totals = np.bincount(of_text, weights=counts, minlength=len(texts))
    wrong = (totals != height * width) | (np.bincount(of_text, weights=counts < 0, minlength=len(texts)) > 0)
    if wrong.any():
        text = texts[int(wrong.argmax())]
        raise RunLengthError(f"run lengths {text[:40]!r} do not cover {height}×{width} pixels")
