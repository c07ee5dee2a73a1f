"""Run lengths are checked for many at once as they are read one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsynth_factory.geometry import rle
from earthsynth_factory.geometry.rle import RunLengthError
from earthsynth_factory.geometry.rle_check import check_runs

HEIGHT, WIDTH = 9, 13
GOOD = [
    rle.encode(np.random.default_rng(seed).random((HEIGHT, WIDTH)) < share)
    for seed, share in enumerate((0, 0.1, 0.5, 0.9, 1))
]


def _read(text: str) -> bool:
    """What the reader of single masks says; a text that ends within a number, or has other characters, is none."""
    try:
        rle.decode(text, HEIGHT, WIDTH)
    except ValueError:
        return False
    return all("0" <= letter <= "o" for letter in text) and text != "" and not (ord(text[-1]) - 48) & 32


@given(
    st.sampled_from(GOOD), st.integers(0, 40), st.text(st.characters(min_codepoint=40, max_codepoint=125), max_size=3)
)
@settings(max_examples=400)
def test_damaged_texts_are_told_from_sound_ones(text: str, at: int, new: str) -> None:
    damaged = text[:at] + new + text[at + len(new) :]
    if _read(damaged):
        check_runs([*GOOD, damaged, *GOOD], HEIGHT, WIDTH)
    else:
        with pytest.raises(RunLengthError):
            check_runs([*GOOD, damaged, *GOOD], HEIGHT, WIDTH)


def test_none_is_sound() -> None:
    check_runs([], HEIGHT, WIDTH)
    with pytest.raises(RunLengthError, match="do not cover 9×14 pixels"):
        check_runs(GOOD, HEIGHT, WIDTH + 1)
