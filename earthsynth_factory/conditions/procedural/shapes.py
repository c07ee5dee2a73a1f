"""Outlines in metres: where they lie, and the simple ones everything else is made of.

x points right and y down, as in an image; a figure's own +x is its front. Angles are radians from +x towards +y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""(N, 2) corners, metres."""


class Pose(NamedTuple):
    """A place and a heading; also the frame of whatever is laid out around it."""

    x: float
    y: float
    angle: float = 0.0

    def on(self, along: float, across: float = 0.0, turn: float = 0.0) -> Pose:
        """The pose `along` metres ahead and `across` metres to the right, turned by `turn`."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return Pose(self.x + along * cosine - across * sine, self.y + along * sine + across * cosine, self.angle + turn)


@dataclass(frozen=True, eq=False)
class Silhouette:
    """The union of `parts` less the `holes`."""

    parts: tuple[Points, ...]
    holes: tuple[Points, ...] = ()

    def at(self, pose: Pose) -> Silhouette:
        """Turned and moved from its own frame to the pose."""
        cosine, sine = math.cos(pose.angle), math.sin(pose.angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        move = np.array([pose.x, pose.y])
        return Silhouette(
            tuple(part @ turn + move for part in self.parts), tuple(hole @ turn + move for hole in self.holes)
        )

    def scaled(self, along: float, across: float) -> Silhouette:
        """Stretched in its own frame."""
        by = np.array([along, across])
        return Silhouette(tuple(part * by for part in self.parts), tuple(hole * by for hole in self.holes))

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        corners = self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts)
        (left, top), (right, bottom) = np.minimum.reduce(corners).tolist(), np.maximum.reduce(corners).tolist()
        return left, top, right, bottom

    def fitted(self, length: float, width: float) -> Silhouette:
        """Moved to the middle of its own frame and stretched to exactly this length (x) and width (y)."""
        left, top, right, bottom = self.bounds
        move = np.array([-(left + right) / 2, -(top + bottom) / 2])
        by = np.array([length / (right - left), width / (bottom - top)])
        return Silhouette(
            tuple((part + move) * by for part in self.parts), tuple((hole + move) * by for hole in self.holes)
        )

    def __or__(self, other: Silhouette) -> Silhouette:
        return Silhouette(self.parts + other.parts, self.holes + other.holes)


def polygon(*corners: tuple[float, float]) -> Silhouette:
    """One closed outline."""
    return Silhouette((np.array(corners, float),))


def mirrored(*half: tuple[float, float]) -> Silhouette:
    """An outline that is symmetric about the x axis, from the corners of one side, front to back."""
    return polygon(*half, *((x, -y) for x, y in reversed(half)))


def rectangle(length: float, width: float, x: float = 0.0, y: float = 0.0) -> Silhouette:
    """Centred at (x, y)."""
    a, b = length / 2, width / 2
    return polygon((x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b))


def ellipse(length: float, width: float, x: float = 0.0, y: float = 0.0, corners: int = 32) -> Silhouette:
    """Centred at (x, y)."""
    cosines, sines = _circle(corners)
    outline = np.empty((corners, 2))
    outline[:, 0], outline[:, 1] = x + length / 2 * cosines, y + width / 2 * sines
    return Silhouette((outline,))


_CORNERS = np.repeat([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]], 10, axis=0)
_TURNS = np.concatenate([np.linspace(0, math.pi / 2, 10) + quarter * math.pi / 2 for quarter in range(4)])
_ARCS = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)
"""(40, 2) ten points on the arc of each of a rectangle's `_CORNERS`."""


@lru_cache(maxsize=8)
def _circle(corners: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    turn = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    return np.cos(turn), np.sin(turn)


def ring(outer: float, inner: float) -> Silhouette:
    """A disc of diameter `outer` with a hole of diameter `inner`."""
    return Silhouette(ellipse(outer, outer, corners=48).parts, ellipse(inner, inner, corners=40).parts)


def rounded(length: float, width: float, radius: float) -> Silhouette:
    """A rectangle with round corners; with `radius` half the width, the stadium oval."""
    return Silhouette((_CORNERS * np.array([length / 2 - radius, width / 2 - radius]) + radius * _ARCS,))


def cross(length: float, width: float) -> Silhouette:
    """Two bars of equal length."""
    return rectangle(length, width) | rectangle(width, length)


def strip(line: Points, width: float) -> Silhouette:
    """A band of constant width along a centre line (N ≥ 2 points)."""
    ahead = np.gradient(line, axis=0)
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.maximum(np.linalg.norm(ahead, axis=1), 1e-9)[:, None]
    side = normal * (width / 2)
    return Silhouette((np.concatenate([line + side, (line - side)[::-1]]),))


def blob(rng: np.random.Generator, length: float, width: float, rough: float = 0.2, corners: int = 48) -> Silhouette:
    """A smooth closed outline about an ellipse; `rough` is the share by which its radius wanders."""
    turn = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    waves = np.arange(2, 6)[:, None]
    radius = 1 + rough * (np.sin(waves * turn + rng.uniform(0, 7, (4, 1))) / waves * 1.6).sum(axis=0)
    return Silhouette((np.stack([length / 2 * radius * np.cos(turn), width / 2 * radius * np.sin(turn)], axis=1),))
