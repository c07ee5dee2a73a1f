"""Water's edge: piers, cargo quays, marinas, and ships under way."""

from __future__ import annotations

import math

import numpy as np

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.shapes import Pose, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, river, shore, strewn, trees, wood

VESSELS = (
    "ship", "motorboat", "fishing boat", "tugboat", "engineering ship", "passenger ship", "dry cargo ship",
    "liquid cargo ship", "warship",
)  # fmt: skip

_SEAWARD = -math.pi / 2


def _vessel(drawing: Drawing) -> str:
    return drawing.target if drawing.target in VESSELS else "ship"


def _quay(drawing: Drawing, share: float = 0.35) -> Pose:
    """Water with a straight quay; the frame's origin lies on its edge, with the land at +y."""
    edge = drawing.frame.on(0, share * drawing.reach)
    drawing.flood("water")
    shore(drawing, edge, "pavement")
    return edge


def piers(drawing: Drawing) -> None:
    """Jetties side by side, ships alongside."""
    edge, name = _quay(drawing, 0.5), _vessel(drawing)
    ship = drawing.size if drawing.target == name else 0.0
    long = drawing.size if drawing.target == "harbor" else min(max(1.5 * ship, 60.0), 1.4 * drawing.reach, 260.0)
    wide = max(0.16 * long, 7.0)
    ship = ship or float(drawing.rng.uniform(0.35, 0.6)) * long
    beam = 0.2 * ship
    pitch = wide + (2 * beam + 0.25 * ship) * (0.6 + 0.4 * drawing.knobs.spacing)
    heads = [edge.on(side * pitch, -long / 2 + 2, _SEAWARD) for side in _middle_out(drawing, pitch)]
    drawing.fill("harbor", heads, figure=lambda: drawing.figure("harbor", long, wide))
    berths = [head.on(along, side * (wide * 0.5 + beam * 0.62 + 1)) for head in heads for side in (-1, 1)
              for along in _berths(long, ship)]  # fmt: skip
    shape = (
        None if drawing.target == name else lambda: drawing.figure("ship", ship * float(drawing.rng.uniform(0.7, 1)))
    )
    drawing.fill(name, _turned(drawing, berths), 0.75, loose=0.1, on=("water",), figure=shape)
    _hinterland(drawing, edge)


def _middle_out(drawing: Drawing, pitch: float) -> list[float]:
    most = math.ceil(drawing.reach / pitch)
    return sorted((float(side) for side in range(-most, most + 1)), key=abs)


def _berths(long: float, ship: float) -> list[float]:
    """Where the middles of ships lie along a pier."""
    count = max(1, int(long // (1.15 * ship)))
    return [float(x) for x in (np.arange(count) + 0.5) / count * long - long / 2]


def _turned(drawing: Drawing, poses: list[Pose]) -> list[Pose]:
    """Every ship lies either way round."""
    return [pose.on(0, 0, math.pi * int(drawing.rng.integers(2))) for pose in poses]


def quay(drawing: Drawing) -> None:
    """A cargo berth: ships along the quay, gantry cranes over them, sheds behind."""
    edge, name = _quay(drawing, 0.1), _vessel(drawing)
    ship = drawing.size if drawing.target == name else min(1.2 * drawing.reach, 200.0)
    off = 0.09 * ship + 2.0
    line = [edge.on(along * ship * (1.02 + 0.08 * drawing.knobs.spacing), -off) for along in range(-8, 9)]
    shape = None if drawing.target == name else lambda: drawing.figure("ship", ship)
    drawing.fill(name, _turned(drawing, line), 0.85, on=("water",), figure=shape)
    drawing.fill(name, _turned(drawing, [at.on(0, -2.6 * off) for at in line]), 0.3, 0.3, on=("water",), figure=shape)
    gantry = drawing.size if drawing.target == "container crane" else 90.0
    pitch = 0.32 * gantry + 10 * drawing.knobs.spacing
    cranes = [edge.on(along * pitch, -0.12 * gantry, _SEAWARD) for along in _middle_out(drawing, pitch)]
    drawing.fill("container crane", cranes, 0.8, over=VESSELS, figure=None)
    _hinterland(drawing, edge.on(0, 0.3 * gantry))


def marina(drawing: Drawing) -> None:
    """Floating walkways with fingers, a boat in most gaps."""
    edge, name = _quay(drawing, 0.45), _vessel(drawing)
    small = drawing.target == name and drawing.size <= 22
    boat = drawing.size if small else float(drawing.rng.uniform(7, 13))
    long = drawing.size if drawing.target == "harbor" else min(max(1.2 * drawing.reach, 40.0), 110.0)
    wide = 2 * boat + 4
    pitch = wide + 1.2 * boat * drawing.knobs.spacing
    heads = [edge.on(side * pitch, -long / 2 + 2, _SEAWARD) for side in _middle_out(drawing, pitch)]
    drawing.fill("harbor", heads, figure=lambda: drawing.figure("harbor", long, wide))
    step = long / max(2, round(long / 9))
    slots = [head.on(along, side * (boat / 2 + 2.3), side * math.pi / 2) for head in heads for side in (-1, 1)
             for along in np.arange(-long / 2 + step, long / 2 - step / 2, step).tolist()]  # fmt: skip
    shape = None if small else lambda: drawing.figure("ship", boat * float(drawing.rng.uniform(0.75, 1)), boat * 0.3)
    drawing.fill(name, slots, 0.75, loose=0.1, figure=shape)
    _hinterland(drawing, edge)


def fairway(drawing: Drawing) -> None:
    """Open water, perhaps a natural coast; ships keep to the fairway's direction, more or less."""
    long, name = drawing.size or 60.0, _vessel(drawing)
    mottled(drawing, "water")
    if drawing.rng.random() < 0.45:
        _coast(drawing, 0.6)
    pitch = long * (1.2 + 0.9 * drawing.knobs.spacing)
    lanes = [at.on(float(drawing.rng.uniform(-0.3, 0.3)) * long, float(drawing.rng.uniform(-0.2, 0.2)) * long)
             for at in drawing.lattice(pitch, 0.75 * pitch)]  # fmt: skip
    drawing.fill(name, _turned(drawing, lanes), 0.6, loose=2.0, on=("water",))


def _coast(drawing: Drawing, share: float) -> None:
    """A natural coast at this share of the reach from the middle; the beach follows the line of the land."""
    at, wild = drawing.frame.on(0, share * drawing.reach), 0.12 * drawing.reach
    phases = drawing.rng.uniform(0, 7, 4).tolist()
    shore(drawing, at.on(0, -8), "bare land", wild, phases)
    shore(drawing, at, "grass", wild, phases)


def _hinterland(drawing: Drawing, edge: Pose) -> None:
    """Sheds and trees on the land side."""
    sheds = [edge.on(along * 34.0, row * 30.0 + 28.0) for row in range(6) for along in range(-12, 13)]
    drawing.fill(
        "building", sheds, 0.6, on=("pavement",), figure=lambda: rectangle(27, float(drawing.rng.uniform(14, 22)))
    )
    trees(drawing, [edge.on(along * 9.0, 9.0) for along in range(-30, 31)], 0.25)


def coast(drawing: Drawing) -> None:
    """Water as ground: the sea, a beach, land behind it."""
    drawing.flood("water")
    _coast(drawing, float(drawing.rng.uniform(-0.1, 0.3)))
    trees(drawing, strewn(drawing, 8), 0.7)


def riverside(drawing: Drawing) -> None:
    """Water as ground: a river through open land."""
    mottled(
        drawing, "grass", ("agriculture land", 0.35), ("tree", 0.2), ("bare land", 0.1), feature=drawing.reach * 0.4
    )
    wide = float(np.clip(drawing.reach * drawing.rng.uniform(0.25, 0.6), 12, 500))
    river(drawing, drawing.frame, wide)


def lakeside(drawing: Drawing) -> None:
    """Water as ground: a coast, or lakes in open land."""
    mottled(drawing, "grass", ("forest land", 0.3), ("agriculture land", 0.2), feature=drawing.reach * 0.5)
    wood(drawing, "water", float(drawing.rng.uniform(0.35, 0.6)), drawing.reach * float(drawing.rng.uniform(0.5, 1.0)))
