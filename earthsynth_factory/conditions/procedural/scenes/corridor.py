"""Along expressways and railways: toll stations, service areas, train stations."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.roads import Road, drive
from earthsynth_factory.conditions.procedural.shapes import mirrored, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, strewn, trees


def _expressway(drawing: Drawing, across: float = 0.0) -> Road:
    mottled(drawing, "grass", ("agriculture land", 0.3), ("tree", 0.2), feature=60)
    road = Road(drawing.frame.on(0, across), lanes=6, lane=3.75, verge=1.5, median=3.0)
    road.paint(drawing)
    return road


def toll_station(drawing: Drawing) -> None:
    """The expressway widens to a plaza; the roof lies across it, cars queue before the booths."""
    road = _expressway(drawing)
    size = drawing.size_of(drawing.target)
    wide = drawing.size * float(drawing.rng.uniform(*size.ratio))
    reach = 1.7 * wide
    narrow, broad = road.width / 2, wide * 0.52
    plaza = mirrored((reach, narrow), (0.35 * wide, broad), (-0.35 * wide, broad), (-reach, narrow))
    apart = 2.2 * reach if drawing.least == 1 else max(2.2 * drawing.size, 0.5 * wide)
    stations = [drawing.frame.on(apart * step) for step in (0, 1, -1, 2, -2)[: drawing.most]]
    for at in stations:
        drawing.paint("road", plaza, at)
    drawing.fill(drawing.target, stations, 2.0, figure=lambda: drawing.figure(drawing.target, drawing.size, wide))
    start = drawing.size * 0.55 + 8
    queue = [drawing.frame.on(side * (start + 8 * place), (lane - 4.5) * wide / 10, math.pi * (lane < 4.5))
             for side in (-1, 1) for place in range(5) for lane in range(10)]  # fmt: skip
    drawing.fill("small vehicle", queue, 0.35, on=("road",))
    office = [drawing.frame.on(0, broad + 14)]
    drawing.fill("building", office, 2.0, figure=lambda: drawing.figure("building", 30.0, 12.0))
    drive(drawing, [road], 30)
    trees(drawing, strewn(drawing, 6), 0.5)


def service_area(drawing: Drawing) -> None:
    """Compounds on one or both sides, with their buildings and lorries."""
    size = drawing.size_of(drawing.target)
    wide = drawing.size * sum(size.ratio) / 2
    road = _expressway(drawing, 0.45 * wide)
    off = road.outer / 2 + wide / 2
    sides = [road.frame.on(0, -off), road.frame.on(0, off, math.pi)]
    places = sides + [side.on(1.15 * drawing.size * step) for step in (1, -1) for side in sides]
    drawing.fill(drawing.target, places, 2.0, figure=lambda: drawing.figure(drawing.target, drawing.size, wide))
    over = (drawing.target,)
    halls = [side.on(0, -0.3 * wide) for side in sides]
    drawing.fill("building", halls, 2.0, over=over, figure=lambda: rectangle(0.24 * drawing.size, 0.13 * wide))
    slots = [side.on((i - 9) * 4.4, 0.12 * wide, math.pi / 3) for side in sides for i in range(18)]
    drawing.fill("large vehicle", slots, 0.6, over=over)
    drive(drawing, [road], 30)
    trees(drawing, strewn(drawing, 5), 0.5)


def train_station(drawing: Drawing) -> None:
    """Tracks along the platforms, a forecourt, the town beside it."""
    mottled(drawing, "developed space", ("grass", 0.25), feature=60)
    wide = drawing.size * sum(drawing.size_of(drawing.target).ratio) / 2
    drawing.paint("bare land", rectangle(8 * drawing.reach, 1.12 * wide), drawing.frame)
    for step in range(-3, 4):
        drawing.paint("pavement", rectangle(8 * drawing.reach, 2.4, 0, step * wide * 0.14), drawing.frame)
    places = drawing.lattice(1.3 * drawing.size, 2.4 * wide)
    drawing.fill(drawing.target, places, 1.2, figure=lambda: drawing.figure(drawing.target, drawing.size, wide))
    street = Road(drawing.frame.on(0, wide * 0.56 + 24), lanes=2)
    street.paint(drawing)
    plots = drawing.lattice(38, 30, drawing.frame.on(0, street.outer + wide * 0.56 + 36))
    on = ("developed space", "grass")
    drawing.fill(
        "building", plots, 0.9, on=on, figure=lambda: drawing.figure("building", float(drawing.rng.uniform(14, 30)))
    )
    drive(drawing, [street])
    trees(drawing, strewn(drawing, 6), 0.5)
