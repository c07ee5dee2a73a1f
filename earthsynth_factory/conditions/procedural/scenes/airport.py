"""Airports: planes parked on the apron, the whole field, helicopters on their pads."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import Pose, polygon, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled

RUNWAY = 45.0
TAXIWAY = 23.0


def apron(drawing: Drawing) -> None:
    """Rows of stands between the terminal and the taxiway; noses point at the terminal (+x)."""
    name = drawing.target if drawing.size and drawing.target != "helicopter" else "plane"
    long = drawing.size or 40.0
    frame, gap = drawing.frame, 0.12 * long * drawing.knobs.spacing
    drawing.flood("grass")
    drawing.paint("pavement", rectangle(long * 3.4, 8 * drawing.reach, -long * 0.6), frame)
    drawing.paint("pavement", rectangle(TAXIWAY, 8 * drawing.reach, -long * 2.9), frame)
    drawing.paint("pavement", rectangle(8 * drawing.reach, TAXIWAY, 0, long * 2.5), frame)
    _terminal(drawing, frame.on(long * 0.62 + 9), long)
    pitch = 1.08 * long + gap
    rows = [frame.on(-row * (1.2 * long + gap), side * pitch) for row in range(2) for side in range(-9, 10)]
    drawing.fill(name, rows, 0.85, loose=1.0)
    if drawing.lacking() > 0:
        drawing.fill(name, drawing.lattice(1.12 * long, 1.05 * long), loose=0.3)
    _service(drawing, frame, long)


def _terminal(drawing: Drawing, at: Pose, long: float) -> None:
    """A long hall with bridges reaching out between the stands."""
    hall = rectangle(18, min(8 * drawing.reach, 9 * long))
    for side in range(-4, 5):
        hall |= rectangle(9, 4, -13, (side + 0.5) * 1.2 * long)
    drawing.put("building", at.on(4), hall)


def _service(drawing: Drawing, frame: Pose, long: float) -> None:
    """A few cars beside the stands."""
    places = [frame.on(-long * 0.45, (side + 0.5) * 1.2 * long, math.pi / 2) for side in range(-6, 7)]
    drawing.fill("small vehicle", places, 0.4)


def airfield(drawing: Drawing) -> None:
    """Runway, parallel taxiway with exits, apron and terminal, as one ground in open country."""
    mottled(drawing, "grass", ("agriculture land", 0.3), feature=drawing.reach * 0.5)
    frame = drawing.frame.on(0, -0.25 * drawing.reach)
    away = min(max(0.45 * drawing.reach, 60.0), 170.0)
    long = 8 * drawing.reach
    drawing.paint("airport", rectangle(long, RUNWAY), frame)
    drawing.paint("airport", rectangle(long, TAXIWAY, 0, away), frame)
    for along in (-1.1, -0.35, 0.4, 1.15):
        _exit(drawing, frame.on(along * drawing.reach), away)
    depth = min(0.6 * drawing.reach, 140.0)
    drawing.paint("airport", rectangle(1.3 * drawing.reach, depth, 0, away + depth / 2), frame)
    stands = [frame.on(side * 48.0, away + depth * 0.55, math.pi / 2) for side in range(-6, 7)]
    drawing.fill("plane", stands, 0.6, on=("airport",), loose=1.0)
    drawing.put("building", frame.on(0, away + depth + 14), rectangle(0.9 * drawing.reach, 26))


def _exit(drawing: Drawing, at: Pose, away: float) -> None:
    """A taxiway that leaves the runway at a slant."""
    half, slant = TAXIWAY / 2, 0.5 * away
    drawing.paint("airport", polygon((-half, 0), (half, 0), (half + slant, away), (slant - half, away)), at)


def heliport(drawing: Drawing) -> None:
    """Pads in a row on grass, a helicopter on each other one."""
    pad = drawing.size if drawing.target == "helipad" else max(1.5 * (drawing.size or 14.0), 18.0)
    mottled(drawing, "grass", ("bare land", 0.15), feature=40)
    pitch = pad * (1.25 + 0.35 * drawing.knobs.spacing)
    places = drawing.lattice(pitch, pitch * 1.2)
    Road(drawing.frame.on(0, pitch * 0.6), lanes=2, lane=4, verge=0).paint(drawing)
    for place in places:
        drawing.paint("pavement", rectangle(pad * 1.15, pad * 1.15), place)
    drawing.fill("helipad", places, 0.9, figure=lambda: drawing.figure("helipad", pad))
    machine = None if drawing.target == "helicopter" else lambda: drawing.figure("helicopter", min(pad * 0.62, 20.0))
    drawing.fill("helicopter", places, 0.5, loose=2.0, over=("helipad",), figure=machine)
