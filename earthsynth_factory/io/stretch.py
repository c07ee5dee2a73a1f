"""How imagery of more than eight bits becomes eight: one stretch for a whole dataset, so that equal ground looks equal.

p2-98      between two percentiles of the dataset's values, band by band; what is no part of the picture is left out
min-max    between its least and its greatest value
0,3000     between two values that the user knows
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import InputError

USUAL = "p2-98"

_VALUES = 1 << 16
"""Values of an image that are taken into account, for each band."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """rule: as the user wrote it. low, high: for red, green and blue, the values that become 0 and 255."""

    rule: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def apply(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """(H, W, 3) values → 0–255; what is no number becomes 0."""
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        # Two values that are one would divide by nothing: all below is black, all above white.
        spread = np.maximum(high - low, np.finfo(np.float32).tiny)
        scaled = (pixels.astype(np.float32) - low) * (np.float32(255) / spread)
        return np.asarray(np.clip(np.nan_to_num(scaled, nan=0.0) + 0.5, 0, 255), np.uint8)

    def fields(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"rule": self.rule, "low": list(self.low), "high": list(self.high)}

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Stretch:
        """The reverse of `fields`. Raises KeyError, TypeError or ValueError if it is no such thing."""
        low, high = ((float(a), float(b), float(c)) for a, b, c in (data["low"], data["high"]))
        return cls(str(data["rule"]), low, high)


@dataclass(frozen=True, slots=True)
class StretchRule:
    """text: as written. percentiles: of the dataset's values, or None. values: the user's own, or None."""

    text: str
    percentiles: tuple[float, float] | None
    values: tuple[float, float] | None

    @classmethod
    def of(cls, text: str) -> StretchRule:
        """Raises `InputError` if it is none of the three forms."""
        word = text.strip().lower()
        if word == "min-max":
            return cls(word, (0.0, 100.0), None)
        number = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
        found = re.fullmatch(rf"p({number})-({number})", word) or re.fullmatch(rf"({number})\s*,\s*({number})", word)
        low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
        if low >= high or (word.startswith("p") and not 0 <= low < high <= 100):
            raise InputError(
                f"--stretch {text}: write p2-98 (percentiles of the dataset), min-max, or the two values that become black "
                "and white, as 0,3000"
            )
        return cls(word, (low, high), None) if word.startswith("p") else cls(word, None, (low, high))

    def settle(self, values: Iterable[npt.NDArray[Any]]) -> Stretch:
        """The stretch of a dataset, from its values: (n, 3) of each image that is looked at.

        Raises `InputError` if there is none that is a number.
        """
        if self.values:
            low, high = self.values
            return Stretch(self.text, (low, low, low), (high, high, high))
        assert self.percentiles is not None
        every = [found.astype(np.float64) for found in values if len(found)]
        if not every:
            raise InputError(f"--stretch {self.text}: no pixel that was looked at has a value; give two, as 0,3000")
        low, high = np.percentile(np.concatenate(every), self.percentiles, axis=0)
        return Stretch(self.text, _rounded(low), _rounded(high))


def thinned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n, 3) values of one image, evenly thinned to a number that does not let large images outweigh all others."""
    step = max(1, -(-len(values) // _VALUES))
    return values[::step]


def _rounded(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(f"{value:.6g}") for value in values)
    return red, green, blue
