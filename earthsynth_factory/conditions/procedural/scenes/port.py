"""Water's edge: piers, cargo quays, marinas, and ships under way."""

from __future__ import annotations

import math

import numpy as np

from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.shapes import Pose, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, river, shore, strewn, trees, wood

VESSELS = (
    "ship", "motorboat", "fishing boat", "tugboat", "engineering ship", "passenger ship", "dry cargo ship",
    "liquid cargo ship", "warship",
)  # fmt: skip

_SEAWARD = -math.pi / 2


def _vessel(stage: Stage) -> str:
    return stage.target if stage.target in VESSELS else "ship"


def _quay(stage: Stage, share: float = 0.35) -> Pose:
    """Water with a straight quay; the frame's origin lies on its edge, with the land at +y."""
    edge = stage.frame.on(0, share * stage.reach)
    stage.flood("water")
    shore(stage, edge, "pavement")
    return edge


def piers(stage: Stage) -> None:
    """Jetties side by side, ships alongside."""
    edge, name = _quay(stage, 0.5), _vessel(stage)
    ship = stage.size if stage.target == name else 0.0
    long = stage.size if stage.target == "harbor" else min(max(1.5 * ship, 60.0), 1.4 * stage.reach, 260.0)
    wide = max(0.16 * long, 7.0)
    ship = ship or float(stage.rng.uniform(0.35, 0.6)) * long
    beam = 0.2 * ship
    pitch = wide + (2 * beam + 0.25 * ship) * (0.6 + 0.4 * stage.knobs.spacing)
    heads = [edge.on(side * pitch, -long / 2 + 2, _SEAWARD) for side in _middle_out(stage, pitch)]
    stage.fill("harbor", heads, figure=lambda: stage.figure("harbor", long, wide))
    berths = [head.on(along, side * (wide * 0.5 + beam * 0.62 + 1)) for head in heads for side in (-1, 1)
              for along in _berths(long, ship)]  # fmt: skip
    shape = None if stage.target == name else lambda: stage.figure("ship", ship * float(stage.rng.uniform(0.7, 1)))
    stage.fill(name, _turned(stage, berths), 0.75, loose=0.1, on=("water",), figure=shape)
    _hinterland(stage, edge)


def _middle_out(stage: Stage, pitch: float) -> list[float]:
    most = math.ceil(stage.reach / pitch)
    return sorted((float(side) for side in range(-most, most + 1)), key=abs)


def _berths(long: float, ship: float) -> list[float]:
    """Where the middles of ships lie along a pier."""
    count = max(1, int(long // (1.15 * ship)))
    return [float(x) for x in (np.arange(count) + 0.5) / count * long - long / 2]


def _turned(stage: Stage, poses: list[Pose]) -> list[Pose]:
    """Every ship lies either way round."""
    return [pose.on(0, 0, math.pi * int(stage.rng.integers(2))) for pose in poses]


def quay(stage: Stage) -> None:
    """A cargo berth: ships along the quay, gantry cranes over them, sheds behind."""
    edge, name = _quay(stage, 0.1), _vessel(stage)
    ship = stage.size if stage.target == name else min(1.2 * stage.reach, 200.0)
    off = 0.09 * ship + 2.0
    line = [edge.on(along * ship * (1.02 + 0.08 * stage.knobs.spacing), -off) for along in range(-8, 9)]
    shape = None if stage.target == name else lambda: stage.figure("ship", ship)
    stage.fill(name, _turned(stage, line), 0.85, on=("water",), figure=shape)
    stage.fill(name, _turned(stage, [at.on(0, -2.6 * off) for at in line]), 0.3, 0.3, on=("water",), figure=shape)
    gantry = stage.size if stage.target == "container crane" else 90.0
    pitch = 0.32 * gantry + 10 * stage.knobs.spacing
    cranes = [edge.on(along * pitch, -0.12 * gantry, _SEAWARD) for along in _middle_out(stage, pitch)]
    stage.fill("container crane", cranes, 0.8, over=VESSELS, figure=None)
    _hinterland(stage, edge.on(0, 0.3 * gantry))


def marina(stage: Stage) -> None:
    """Floating walkways with fingers, a boat in most gaps."""
    edge, name = _quay(stage, 0.45), _vessel(stage)
    small = stage.target == name and stage.size <= 22
    boat = stage.size if small else float(stage.rng.uniform(7, 13))
    long = stage.size if stage.target == "harbor" else min(max(1.2 * stage.reach, 40.0), 110.0)
    wide = 2 * boat + 4
    pitch = wide + 1.2 * boat * stage.knobs.spacing
    heads = [edge.on(side * pitch, -long / 2 + 2, _SEAWARD) for side in _middle_out(stage, pitch)]
    stage.fill("harbor", heads, figure=lambda: stage.figure("harbor", long, wide))
    step = long / max(2, round(long / 9))
    slots = [head.on(along, side * (boat / 2 + 2.3), side * math.pi / 2) for head in heads for side in (-1, 1)
             for along in np.arange(-long / 2 + step, long / 2 - step / 2, step).tolist()]  # fmt: skip
    shape = None if small else lambda: stage.figure("ship", boat * float(stage.rng.uniform(0.75, 1)), boat * 0.3)
    stage.fill(name, slots, 0.75, loose=0.1, figure=shape)
    _hinterland(stage, edge)


def fairway(stage: Stage) -> None:
    """Open water, perhaps a natural coast; ships keep to the fairway's direction, more or less."""
    long, name = stage.size or 60.0, _vessel(stage)
    mottled(stage, "water")
    if stage.rng.random() < 0.45:
        _coast(stage, 0.6)
    pitch = long * (1.2 + 0.9 * stage.knobs.spacing)
    lanes = [at.on(float(stage.rng.uniform(-0.3, 0.3)) * long, float(stage.rng.uniform(-0.2, 0.2)) * long)
             for at in stage.lattice(pitch, 0.75 * pitch)]  # fmt: skip
    stage.fill(name, _turned(stage, lanes), 0.6, loose=2.0, on=("water",))


def _coast(stage: Stage, share: float) -> None:
    """A natural coast at this share of the reach from the middle; the beach follows the line of the land."""
    at, wild = stage.frame.on(0, share * stage.reach), 0.12 * stage.reach
    phases = stage.rng.uniform(0, 7, 4).tolist()
    shore(stage, at.on(0, -8), "bare land", wild, phases)
    shore(stage, at, "grass", wild, phases)


def _hinterland(stage: Stage, edge: Pose) -> None:
    """Sheds and trees on the land side."""
    sheds = [edge.on(along * 34.0, row * 30.0 + 28.0) for row in range(6) for along in range(-12, 13)]
    stage.fill("building", sheds, 0.6, on=("pavement",), figure=lambda: rectangle(27, float(stage.rng.uniform(14, 22))))
    trees(stage, [edge.on(along * 9.0, 9.0) for along in range(-30, 31)], 0.25)


def coast(stage: Stage) -> None:
    """Water as ground: the sea, a beach, land behind it."""
    stage.flood("water")
    _coast(stage, float(stage.rng.uniform(-0.1, 0.3)))
    trees(stage, strewn(stage, 8), 0.7)


def riverside(stage: Stage) -> None:
    """Water as ground: a river through open land."""
    mottled(stage, "grass", ("agriculture land", 0.35), ("tree", 0.2), ("bare land", 0.1), feature=stage.reach * 0.4)
    wide = float(np.clip(stage.reach * stage.rng.uniform(0.25, 0.6), 12, 500))
    river(stage, stage.frame, wide)


def lakeside(stage: Stage) -> None:
    """Water as ground: a coast, or lakes in open land."""
    mottled(stage, "grass", ("forest land", 0.3), ("agriculture land", 0.2), feature=stage.reach * 0.5)
    wood(stage, "water", float(stage.rng.uniform(0.35, 0.6)), stage.reach * float(stage.rng.uniform(0.5, 1.0)))
