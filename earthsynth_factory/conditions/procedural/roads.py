"""Roads in lanes and metres: carriageway, pavements, and where vehicles are on them. Traffic keeps right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.shapes import Pose, polygon, rectangle

TRAFFIC = ("road", "bridge", "overpass", "roundabout", "intersection")
"""What vehicles drive on."""

CROSSED = ("bridge", "overpass", "roundabout", "intersection")
"""Things that a vehicle may hide a part of."""


@dataclass(frozen=True, slots=True)
class Road:
    """A straight road along its frame's x axis, centred on it.

    lanes: in both directions together. lane: width of one, metres (3 to 3.75 by rank). verge: pavement on each side.
    """

    frame: Pose
    lanes: int = 2
    lane: float = 3.25
    verge: float = 2.0
    median: float = 0.0

    @property
    def width(self) -> float:
        """Kerb to kerb, metres."""
        return self.lanes * self.lane + self.median + 0.6

    @property
    def outer(self) -> float:
        """With both pavements, metres."""
        return self.width + 2 * self.verge

    def paint(self, drawing: Drawing, shoulder: str = "pavement") -> None:
        """Draw it right through the picture. Roads that cross are painted shoulders first, by `paint_all`."""
        paint_all(drawing, [self], shoulder)

    def distance(self, x: float, y: float) -> float:
        """From a point to the centre line, metres."""
        return abs((y - self.frame.y) * math.cos(self.frame.angle) - (x - self.frame.x) * math.sin(self.frame.angle))

    def places(self, drawing: Drawing, distance: float) -> list[Pose]:
        """Where vehicles are: in the middle of a lane, heading along it, about `distance` metres apart."""
        found: list[Pose] = []
        for index in range(self.lanes):
            side = index - (self.lanes - 1) / 2
            across = side * self.lane + math.copysign(self.median / 2, side)
            ahead = 0.0 if side > 0 else math.pi
            steps = np.arange(-2 * drawing.reach, 2 * drawing.reach, distance)
            found += drawing.extent.inside(
                self.frame, steps + drawing.rng.uniform(0, 0.6 * distance, steps.size), across, ahead
            )
        return found

    def kerbs(self, drawing: Drawing, distance: float) -> list[Pose]:
        """Places behind both kerbs, for trees."""
        steps = np.arange(-2 * drawing.reach, 2 * drawing.reach, distance)
        off = self.width / 2 + 2.5
        return drawing.extent.inside(self.frame, steps, -off) + drawing.extent.inside(self.frame, steps, off)


def paint_all(drawing: Drawing, roads: list[Road], shoulder: str = "pavement") -> None:
    """Draw roads that cross: all shoulders, then all carriageways, so that junctions are open."""
    long = 8 * drawing.reach
    for road in roads:
        if road.verge > 0:
            drawing.paint(shoulder, rectangle(long, road.outer), road.frame)
    for road in roads:
        drawing.paint("road", rectangle(long, road.width), road.frame)
        if road.median > 2:
            drawing.paint("grass", rectangle(long, road.median - 0.6), road.frame)


def passing(drawing: Drawing, roads: list[Road]) -> list[Road]:
    """Those of which the picture shows something."""
    middle = (drawing.extent.across / 2, drawing.extent.down / 2)
    return [road for road in roads if road.distance(*middle) < drawing.reach + road.outer / 2]


def drive(drawing: Drawing, roads: list[Road], distance: float = 22.0) -> None:
    """Put traffic on the roads: the target if it drives, else mostly cars."""
    distance *= drawing.knobs.spacing
    for road in roads:
        for name, share in traffic(drawing):
            pace = max(distance, 1.6 * drawing.size_of(name).length[1])
            drawing.fill(name, road.places(drawing, pace), share, over=CROSSED, on=TRAFFIC)


def traffic(drawing: Drawing) -> list[tuple[str, float]]:
    """(name, share of places) of what drives here."""
    usual = [("small vehicle", 0.55), ("large vehicle", 0.12)]
    if drawing.target in DRIVEN and drawing.target not in dict(usual):
        return [(drawing.target, 0.8)]
    return usual


DRIVEN = frozenset(
    {
        "small vehicle", "large vehicle", "vehicle", "bus", "van", "cargo truck", "dump truck", "trailer", "tractor",
        "truck tractor", "excavator",
    }
)  # fmt: skip
"""Categories that stand in lots and go on roads."""


def junction(drawing: Drawing, first: Road, second: Road, at: Pose, radius: float = 5.0) -> None:
    """Cut the kerbs' corners where two roads cross at a right angle; `at` heads along the first."""
    for x in (-second.width / 2, second.width / 2):
        for y in (-first.width / 2, first.width / 2):
            corner = [(x, y), (x + math.copysign(radius, x), y), (x, y + math.copysign(radius, y))]
            drawing.paint("road", polygon(*corner), at)
