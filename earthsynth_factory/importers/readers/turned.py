"""Shapes that tools store by centre, size and angle. Angles are radians, clockwise as the picture is seen."""

from __future__ import annotations

import math
from collections.abc import Iterable

from earthsynth_factory.geometry.given import Given

CORNERS = 32
"""Corners of the polygon that stands for an ellipse."""


def turned(points: Iterable[tuple[float, float]], x: float, y: float, angle: float) -> list[float]:
    """x, y, x, y, … of points around (0, 0), turned and then moved to (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [value for a, b in points for value in (x + a * cos - b * sin, y + a * sin + b * cos)]


def turned_box(x: float, y: float, width: float, height: float, angle: float) -> Given:
    """An oriented box around the centre (x, y), from its upper left corner on; an upright one if the angle is 0."""
    a, b = width / 2, height / 2
    if not angle:
        return Given.of_box(x - a, y - b, width, height)
    return Given.of_corners(turned(((-a, -b), (a, -b), (a, b), (-a, b)), x, y, angle))


def ellipse_corners(x: float, y: float, across: float, down: float, angle: float = 0.0) -> Given:
    """A polygon for an ellipse around (x, y) with two half axes."""
    steps = (2 * math.pi * number / CORNERS for number in range(CORNERS))
    return Given.of_polygons([turned(((across * math.cos(s), down * math.sin(s)) for s in steps), x, y, angle)])
