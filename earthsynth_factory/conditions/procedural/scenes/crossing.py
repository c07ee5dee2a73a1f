"""Where ways cross: bridges over rivers, overpasses, dams."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.roads import Road, drive, paint_all
from earthsynth_factory.conditions.procedural.shapes import ellipse, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, river, strewn, trees

ABUTMENT = 0.12
"""Share of a bridge's length that lies on each bank."""


def _abreast(stage: Stage, wide: float) -> list[Road]:
    """Parallel roads for as many crossings as are wanted, the first through the frame's origin."""
    lanes = 2 if wide < 14 else 4
    pitch = wide + max(16.0, 0.35 * stage.size) * stage.knobs.spacing
    count = stage.most if stage.want.instances else int(stage.rng.integers(1, 3))
    order = sorted(range(-count + 1, count), key=abs)
    return [Road(stage.frame.on(0, step * pitch), lanes=lanes, verge=0) for step in order]


def _span(stage: Stage) -> float:
    """Width of what crosses: the road's, within the target's true proportions."""
    low, high = stage.size_of(stage.target).ratio
    return min(max(8.5 if stage.size < 120 else 15.0, low * stage.size), high * stage.size)


def bridge(stage: Stage) -> None:
    """A river, and roads straight across it."""
    mottled(stage, "grass", ("tree", 0.25), ("agriculture land", 0.2), feature=50)
    wide = _span(stage)
    roads = _abreast(stage, wide)
    for road in roads:
        road.paint(stage)
    river(stage, stage.frame.on(0, 0, math.pi / 2), stage.size * (1 - 2 * ABUTMENT))
    _carry(stage, roads, wide)
    trees(stage, strewn(stage, 8), 0.5)


def overpass(stage: Stage) -> None:
    """An expressway, and roads over it."""
    mottled(stage, "grass", ("tree", 0.2), ("bare land", 0.15), feature=45)
    wide = _span(stage)
    below = Road(stage.frame.on(0, 0, math.pi / 2), lanes=4 if stage.size < 60 else 6, lane=3.6, verge=1.5, median=3.5)
    roads = _abreast(stage, wide)
    paint_all(stage, [below])
    for road in roads:
        road.paint(stage)
    _carry(stage, roads, wide)
    drive(stage, [below], 26)
    trees(stage, strewn(stage, 8), 0.5)


def _carry(stage: Stage, roads: list[Road], wide: float) -> None:
    """The decks, and the traffic on them."""
    shape = rectangle(stage.size, wide)
    stage.fill(stage.target, [road.frame for road in roads], 2.0, figure=lambda: shape)
    drive(stage, roads, 26)


def dam(stage: Stage) -> None:
    """A valley closed by a wall: the reservoir on one side (-y), the river going on at the other."""
    mottled(stage, "forest land", ("grass", 0.3), ("barren land", 0.2), feature=max(60.0, 0.4 * stage.reach))
    long = stage.size
    at = stage.frame
    stage.paint("water", rectangle(0.98 * long, 0.8 * long, 0, -0.38 * long), at)
    stage.paint("water", ellipse(1.5 * long, 1.3 * long, 0, -1.05 * long), at)
    stage.paint("water", rectangle(0.16 * long, 4 * stage.reach, 0.06 * long, 2 * stage.reach), at)
    stage.fill("dam", [at], 2.0)
    Road(at.on(0, 0.35 * long), lanes=2, verge=0).paint(stage)
    trees(stage, strewn(stage, 3), 0.5)
