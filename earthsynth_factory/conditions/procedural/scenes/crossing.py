"""Where ways cross: bridges over rivers, overpasses, dams."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.roads import Road, drive, paint_all
from earthsynth_factory.conditions.procedural.shapes import ellipse, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, river, strewn, trees

ABUTMENT = 0.12
"""Share of a bridge's length that lies on each bank."""


def _abreast(drawing: Drawing, wide: float) -> list[Road]:
    """Parallel roads for as many crossings as are wanted, the first through the frame's origin."""
    lanes = 2 if wide < 14 else 4
    pitch = wide + max(16.0, 0.35 * drawing.size) * drawing.knobs.spacing
    count = drawing.most if drawing.want.instances else int(drawing.rng.integers(1, 3))
    order = sorted(range(-count + 1, count), key=abs)
    return [Road(drawing.frame.on(0, step * pitch), lanes=lanes, verge=0) for step in order]


def _span(drawing: Drawing) -> float:
    """Width of what crosses: the road's, within the target's true proportions."""
    low, high = drawing.size_of(drawing.target).ratio
    return min(max(8.5 if drawing.size < 120 else 15.0, low * drawing.size), high * drawing.size)


def bridge(drawing: Drawing) -> None:
    """A river, and roads straight across it."""
    mottled(drawing, "grass", ("tree", 0.25), ("agriculture land", 0.2), feature=50)
    wide = _span(drawing)
    roads = _abreast(drawing, wide)
    for road in roads:
        road.paint(drawing)
    river(drawing, drawing.frame.on(0, 0, math.pi / 2), drawing.size * (1 - 2 * ABUTMENT))
    _carry(drawing, roads, wide)
    trees(drawing, strewn(drawing, 8), 0.5)


def overpass(drawing: Drawing) -> None:
    """An expressway, and roads over it."""
    mottled(drawing, "grass", ("tree", 0.2), ("bare land", 0.15), feature=45)
    wide = _span(drawing)
    below = Road(
        drawing.frame.on(0, 0, math.pi / 2), lanes=4 if drawing.size < 60 else 6, lane=3.6, verge=1.5, median=3.5
    )
    roads = _abreast(drawing, wide)
    paint_all(drawing, [below])
    for road in roads:
        road.paint(drawing)
    _carry(drawing, roads, wide)
    drive(drawing, [below], 26)
    trees(drawing, strewn(drawing, 8), 0.5)


def _carry(drawing: Drawing, roads: list[Road], wide: float) -> None:
    """The decks, and the traffic on them."""
    shape = rectangle(drawing.size, wide)
    drawing.fill(drawing.target, [road.frame for road in roads], 2.0, figure=lambda: shape)
    drive(drawing, roads, 26)


def dam(drawing: Drawing) -> None:
    """A valley closed by a wall: the reservoir on one side (-y), the river going on at the other."""
    mottled(drawing, "forest land", ("grass", 0.3), ("barren land", 0.2), feature=max(60.0, 0.4 * drawing.reach))
    long = drawing.size
    at = drawing.frame
    drawing.paint("water", rectangle(0.98 * long, 0.8 * long, 0, -0.38 * long), at)
    drawing.paint("water", ellipse(1.5 * long, 1.3 * long, 0, -1.05 * long), at)
    drawing.paint("water", rectangle(0.16 * long, 4 * drawing.reach, 0.06 * long, 2 * drawing.reach), at)
    drawing.fill("dam", [at], 2.0)
    Road(at.on(0, 0.35 * long), lanes=2, verge=0).paint(drawing)
    trees(drawing, strewn(drawing, 3), 0.5)
