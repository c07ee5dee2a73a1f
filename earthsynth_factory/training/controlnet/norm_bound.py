"""Which gradients are taken: numbers, and of a size like those before."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

import torch
from torch import Tensor

KEPT = 101
"""Norms that the median is of."""

LEAST = 5
"""Norms without which there is no median to speak of."""


class NormBound:
    """The running median of the norms of taken gradients, and a bound at `times` of it.

    Clipping would turn a gradient of 1e14 into a whole step in a direction that means nothing.
    """

    def __init__(self, times: float) -> None:
        self.times = times
        self._norms: deque[float] = deque(maxlen=KEPT)

    def fault(self, norm: float) -> str | None:
        """What is wrong with a gradient of this norm, in words; None, and the norm is remembered, if it may be taken."""
        if not math.isfinite(norm):
            return "loss or gradient was no number"
        usual = median(self._norms) if len(self._norms) >= LEAST else math.inf
        if norm > self.times * usual:
            return f"the gradient's norm was {norm:.3g}, {norm / usual:.3g} times the usual {usual:.3g}"
        self._norms.append(norm)
        return None

    def state(self) -> Tensor:
        """(N,) float64, oldest first."""
        return torch.tensor(list(self._norms), dtype=torch.float64)

    def load(self, norms: Tensor) -> None:
        """The inverse of `state`."""
        self._norms = deque(norms.tolist(), maxlen=KEPT)
