"""Along expressways and railways: toll stations, service areas, train stations."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.roads import Road, drive
from earthsynth_factory.conditions.procedural.shapes import mirrored, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, strewn, trees


def _expressway(stage: Stage, across: float = 0.0) -> Road:
    mottled(stage, "grass", ("agriculture land", 0.3), ("tree", 0.2), feature=60)
    road = Road(stage.frame.on(0, across), lanes=6, lane=3.75, verge=1.5, median=3.0)
    road.paint(stage)
    return road


def toll_station(stage: Stage) -> None:
    """The expressway widens to a plaza; the roof lies across it, cars queue before the booths."""
    road = _expressway(stage)
    size = stage.size_of(stage.target)
    wide = stage.size * float(stage.rng.uniform(*size.ratio))
    reach = 1.7 * wide
    narrow, broad = road.width / 2, wide * 0.52
    plaza = mirrored((reach, narrow), (0.35 * wide, broad), (-0.35 * wide, broad), (-reach, narrow))
    apart = 2.2 * reach if stage.least == 1 else max(2.2 * stage.size, 0.5 * wide)
    stations = [stage.frame.on(apart * step) for step in (0, 1, -1, 2, -2)[: stage.most]]
    for at in stations:
        stage.paint("road", plaza, at)
    stage.fill(stage.target, stations, 2.0, figure=lambda: stage.figure(stage.target, stage.size, wide))
    start = stage.size * 0.55 + 8
    queue = [stage.frame.on(side * (start + 8 * place), (lane - 4.5) * wide / 10, math.pi * (lane < 4.5))
             for side in (-1, 1) for place in range(5) for lane in range(10)]  # fmt: skip
    stage.fill("small vehicle", queue, 0.35, on=("road",))
    office = [stage.frame.on(0, broad + 14)]
    stage.fill("building", office, 2.0, figure=lambda: stage.figure("building", 30.0, 12.0))
    drive(stage, [road], 30)
    trees(stage, strewn(stage, 6), 0.5)


def service_area(stage: Stage) -> None:
    """Compounds on one or both sides, with their buildings and lorries."""
    size = stage.size_of(stage.target)
    wide = stage.size * sum(size.ratio) / 2
    road = _expressway(stage, 0.45 * wide)
    off = road.outer / 2 + wide / 2
    sides = [road.frame.on(0, -off), road.frame.on(0, off, math.pi)]
    places = sides + [side.on(1.15 * stage.size * step) for step in (1, -1) for side in sides]
    stage.fill(stage.target, places, 2.0, figure=lambda: stage.figure(stage.target, stage.size, wide))
    over = (stage.target,)
    halls = [side.on(0, -0.3 * wide) for side in sides]
    stage.fill("building", halls, 2.0, over=over, figure=lambda: rectangle(0.24 * stage.size, 0.13 * wide))
    slots = [side.on((i - 9) * 4.4, 0.12 * wide, math.pi / 3) for side in sides for i in range(18)]
    stage.fill("large vehicle", slots, 0.6, over=over)
    drive(stage, [road], 30)
    trees(stage, strewn(stage, 5), 0.5)


def train_station(stage: Stage) -> None:
    """Tracks along the platforms, a forecourt, the town beside it."""
    mottled(stage, "developed space", ("grass", 0.25), feature=60)
    wide = stage.size * sum(stage.size_of(stage.target).ratio) / 2
    stage.paint("bare land", rectangle(8 * stage.reach, 1.12 * wide), stage.frame)
    for step in range(-3, 4):
        stage.paint("pavement", rectangle(8 * stage.reach, 2.4, 0, step * wide * 0.14), stage.frame)
    places = stage.lattice(1.3 * stage.size, 2.4 * wide)
    stage.fill(stage.target, places, 1.2, figure=lambda: stage.figure(stage.target, stage.size, wide))
    street = Road(stage.frame.on(0, wide * 0.56 + 24), lanes=2)
    street.paint(stage)
    plots = stage.lattice(38, 30, stage.frame.on(0, street.outer + wide * 0.56 + 36))
    on = ("developed space", "grass")
    stage.fill("building", plots, 0.9, on=on, figure=lambda: stage.figure("building", float(stage.rng.uniform(14, 30))))
    drive(stage, [street])
    trees(stage, strewn(stage, 6), 0.5)
