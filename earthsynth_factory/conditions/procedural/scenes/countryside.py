"""Land cover: parcels, woods, lakes and open land, with one ground ruling; wind farms in it."""

from __future__ import annotations

import math

import numpy as np

from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import strip
from earthsynth_factory.conditions.procedural.terrain import lake, quilt, river, strewn, trees, winding, wood

COARSE = 2.0
"""Metres per pixel from which single trees and houses give way to forest and built-up land."""


def land(stage: Stage) -> None:
    """Fields and patches; the target rules."""
    scale = float(np.clip(stage.reach * stage.rng.uniform(0.35, 0.7), 40, 400))
    names, weights = _cover(stage)
    quilt(stage, names, weights, scale, "grass")
    if stage.target in _PATCHED or stage.rng.random() < 0.5:
        rest = [name for name in names if name != stage.target]
        wood(stage, str(stage.rng.choice(rest)), 0.2, scale)
    if stage.target in _PATCHED:
        wood(stage, stage.target, float(stage.rng.uniform(0.4, 0.65)), scale * 1.3)
    _waters(stage, scale)
    _lanes(stage)


_PATCHED = frozenset({"forest land", "tree", "barren land", "bare land", "rangeland", "urban land", "grass"})
"""Grounds that come in patches with soft outlines rather than in parcels."""


def _cover(stage: Stage) -> tuple[list[str], list[float]]:
    fine = {"agriculture land": 4.0, "grass": 2.0, "bare land": 1.0, "tree": 1.2, "rangeland": 0.6}
    coarse = {"agriculture land": 4.0, "grass": 1.2, "forest land": 1.5, "urban land": 1.2, "barren land": 0.4}
    cover = coarse if stage.want.metres_per_pixel >= COARSE else fine
    if stage.target:
        cover[stage.target] = 9.0
    shown = {name: weight for name, weight in cover.items() if stage.shows(name)} or {"grass": 1.0, "bare land": 1.0}
    if len(shown) == 1:
        shown["soil"] = 2.0
    return list(shown), list(shown.values())


def _waters(stage: Stage, scale: float) -> None:
    chance = stage.rng.random()
    if chance < 0.25:
        river(stage, stage.anywhere(), float(np.clip(scale * 0.2, 8, 90)))
    elif chance < 0.5:
        lake(stage, stage.anywhere(), scale * 0.6)


def _lanes(stage: Stage) -> None:
    """A country road, farms along it, single trees."""
    if stage.want.metres_per_pixel >= 2 * COARSE:
        return
    line = winding(stage, stage.anywhere(), 0.05 * stage.reach, 0.5 * stage.reach)
    stage.paint("road", strip(line, 6.5))
    farms = [at for at in stage.lattice(38, 46, stage.anywhere()) if stage.rng.random() < 0.05]
    stage.fill("building", farms, on=("grass", "agriculture land", "bare land"))
    trees(stage, strewn(stage, 5), 0.6)


def wind_farm(stage: Stage) -> None:
    """Windmills in rows over fields, joined by tracks; rotors face the same wind."""
    names, weights = ["agriculture land", "grass", "bare land"], [4.0, 2.0, 1.0]
    quilt(stage, names, weights, max(60.0, 0.5 * stage.reach), "grass")
    pitch = stage.size * (1.3 + 0.9 * stage.knobs.spacing)
    places = stage.lattice(pitch, 0.8 * pitch)
    for row in range(-3, 4):
        Road(stage.frame.on(0, row * 0.8 * pitch + 5), lanes=1, lane=4.0, verge=0).paint(stage)
    turn = float(stage.rng.uniform(0, 2 * math.pi))
    stage.fill("windmill", [at.on(0, 0, turn) for at in places], 0.8, loose=3.0)


def farmyard(stage: Stage) -> None:
    """Machines at work in the fields (tractors), or on bare ground (excavators, dump trucks)."""
    if stage.target == "tractor":
        quilt(stage, ["agriculture land", "grass"], [5.0, 1.0], 70, "grass")
    else:
        quilt(stage, ["bare land", "barren land", "pavement"], [5.0, 2.0, 1.0], 45, "bare land")
    Road(stage.frame.on(0, 0.7 * stage.reach), lanes=2, verge=0).paint(stage)
    pitch = stage.size * (1.3 + 1.2 * stage.knobs.spacing)
    places = stage.lattice(pitch, pitch)
    ground = ("agriculture land", "grass", "bare land", "barren land", "pavement")
    places = [at.on(*stage.rng.uniform(-0.2, 0.2, 2) * pitch) for at in places]
    stage.fill(stage.target, places, 0.35, loose=6.0, on=ground)
    stage.fill("building", stage.lattice(60, 55, stage.frame.on(30, 30)), 0.3)
    trees(stage, strewn(stage, 6), 0.7)


def meadow(stage: Stage) -> None:
    """Open land for a category of the user's own: a thing strewn in loose rows."""
    quilt(stage, ["grass", "bare land", "agriculture land"], [3.0, 1.0, 1.0], max(50.0, 0.5 * stage.reach), "grass")
    pitch = stage.size * (1.15 + 0.45 * stage.knobs.spacing)
    stage.fill(stage.target, stage.lattice(pitch, pitch), 0.6, loose=1.0)
    trees(stage, strewn(stage, 8), 0.6)
