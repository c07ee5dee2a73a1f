"""Airports: planes parked on the apron, the whole field, helicopters on their pads."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import Pose, polygon, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled

RUNWAY = 45.0
TAXIWAY = 23.0


def apron(stage: Stage) -> None:
    """Rows of stands between the terminal and the taxiway; noses point at the terminal (+x)."""
    name = stage.target if stage.size and stage.target != "helicopter" else "plane"
    long = stage.size or 40.0
    frame, gap = stage.frame, 0.12 * long * stage.knobs.spacing
    stage.flood("grass")
    stage.paint("pavement", rectangle(long * 3.4, 8 * stage.reach, -long * 0.6), frame)
    stage.paint("pavement", rectangle(TAXIWAY, 8 * stage.reach, -long * 2.9), frame)
    stage.paint("pavement", rectangle(8 * stage.reach, TAXIWAY, 0, long * 2.5), frame)
    _terminal(stage, frame.on(long * 0.62 + 9), long)
    pitch = 1.08 * long + gap
    rows = [frame.on(-row * (1.2 * long + gap), side * pitch) for row in range(2) for side in range(-9, 10)]
    stage.fill(name, rows, 0.85, loose=1.0)
    if stage.lacking() > 0:
        stage.fill(name, stage.lattice(1.12 * long, 1.05 * long), loose=0.3)
    _service(stage, frame, long)


def _terminal(stage: Stage, at: Pose, long: float) -> None:
    """A long hall with bridges reaching out between the stands."""
    hall = rectangle(18, min(8 * stage.reach, 9 * long))
    for side in range(-4, 5):
        hall |= rectangle(9, 4, -13, (side + 0.5) * 1.2 * long)
    stage.put("building", at.on(4), hall)


def _service(stage: Stage, frame: Pose, long: float) -> None:
    """A few cars beside the stands."""
    places = [frame.on(-long * 0.45, (side + 0.5) * 1.2 * long, math.pi / 2) for side in range(-6, 7)]
    stage.fill("small vehicle", places, 0.4)


def airfield(stage: Stage) -> None:
    """Runway, parallel taxiway with exits, apron and terminal, as one ground in open country."""
    mottled(stage, "grass", ("agriculture land", 0.3), feature=stage.reach * 0.5)
    frame = stage.frame.on(0, -0.25 * stage.reach)
    away = min(max(0.45 * stage.reach, 60.0), 170.0)
    long = 8 * stage.reach
    stage.paint("airport", rectangle(long, RUNWAY), frame)
    stage.paint("airport", rectangle(long, TAXIWAY, 0, away), frame)
    for along in (-1.1, -0.35, 0.4, 1.15):
        _exit(stage, frame.on(along * stage.reach), away)
    depth = min(0.6 * stage.reach, 140.0)
    stage.paint("airport", rectangle(1.3 * stage.reach, depth, 0, away + depth / 2), frame)
    stands = [frame.on(side * 48.0, away + depth * 0.55, math.pi / 2) for side in range(-6, 7)]
    stage.fill("plane", stands, 0.6, on=("airport",), loose=1.0)
    stage.put("building", frame.on(0, away + depth + 14), rectangle(0.9 * stage.reach, 26))


def _exit(stage: Stage, at: Pose, away: float) -> None:
    """A taxiway that leaves the runway at a slant."""
    half, slant = TAXIWAY / 2, 0.5 * away
    stage.paint("airport", polygon((-half, 0), (half, 0), (half + slant, away), (slant - half, away)), at)


def heliport(stage: Stage) -> None:
    """Pads in a row on grass, a helicopter on each other one."""
    pad = stage.size if stage.target == "helipad" else max(1.5 * (stage.size or 14.0), 18.0)
    mottled(stage, "grass", ("bare land", 0.15), feature=40)
    pitch = pad * (1.25 + 0.35 * stage.knobs.spacing)
    places = stage.lattice(pitch, pitch * 1.2)
    Road(stage.frame.on(0, pitch * 0.6), lanes=2, lane=4, verge=0).paint(stage)
    for place in places:
        stage.paint("pavement", rectangle(pad * 1.15, pad * 1.15), place)
    stage.fill("helipad", places, 0.9, figure=lambda: stage.figure("helipad", pad))
    machine = None if stage.target == "helicopter" else lambda: stage.figure("helicopter", min(pad * 0.62, 20.0))
    stage.fill("helicopter", places, 0.5, loose=2.0, over=("helipad",), figure=machine)
