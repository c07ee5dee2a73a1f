"""The ground that a picture shows, in metres, and places on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.procedural.shapes import Pose

Steps = npt.NDArray[np.float64]
"""(N,) distances, metres."""


@dataclass(frozen=True, slots=True)
class Extent:
    """across, down: metres that the picture shows."""

    across: float
    down: float

    @property
    def reach(self) -> float:
        """Half the diagonal, metres."""
        return math.hypot(self.across, self.down) / 2

    def contains(self, pose: Pose, margin: float = 0.0) -> bool:
        """Whether the point lies in the picture, `margin` metres from its border."""
        return margin <= pose.x <= self.across - margin and margin <= pose.y <= self.down - margin

    def lattice(self, along: float, across: float, frame: Pose) -> list[Pose]:
        """Poses at these distances (metres) in rows and columns through the frame's origin, over the whole picture."""
        reach = self.reach + math.hypot(frame.x - self.across / 2, frame.y - self.down / 2)
        most = [math.ceil(reach / step) for step in (along, across)]
        columns, rows = np.arange(-most[0], most[0] + 1) * along, np.arange(-most[1], most[1] + 1) * across
        return self.inside(frame, np.tile(columns, len(rows)), np.repeat(rows, len(columns)))

    def inside(self, frame: Pose, along: Steps, across: Steps | float, turn: float = 0.0) -> list[Pose]:
        """The frame's poses at these places (N,) as far as they lie in the picture."""
        cosine, sine = math.cos(frame.angle), math.sin(frame.angle)
        x, y = frame.x + along * cosine - across * sine, frame.y + along * sine + across * cosine
        kept = (x >= 0) & (x <= self.across) & (y >= 0) & (y <= self.down)
        return [Pose(*at, frame.angle + turn) for at in zip(x[kept].tolist(), y[kept].tolist(), strict=True)]
