"""Land cover: parcels, woods, lakes and open land, with one ground ruling; wind farms in it."""

from __future__ import annotations

import math

import numpy as np

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import strip
from earthsynth_factory.conditions.procedural.terrain import lake, quilt, river, strewn, trees, winding, wood
from earthsynth_factory.domain.seeds import one_of

COARSE = 2.0
"""Metres per pixel from which single trees and houses give way to forest and built-up land."""


def land(drawing: Drawing) -> None:
    """Fields and patches; the target rules."""
    scale = float(np.clip(drawing.reach * drawing.rng.uniform(0.35, 0.7), 40, 400))
    names, weights = _cover(drawing)
    quilt(drawing, names, weights, scale, "grass")
    if drawing.target in _PATCHED or drawing.rng.random() < 0.5:
        rest = [name for name in names if name != drawing.target]
        wood(drawing, one_of(drawing.rng, rest), 0.2, scale)
    if drawing.target in _PATCHED:
        wood(drawing, drawing.target, float(drawing.rng.uniform(0.4, 0.65)), scale * 1.3)
    _waters(drawing, scale)
    _lanes(drawing)


_PATCHED = frozenset({"forest land", "tree", "barren land", "bare land", "rangeland", "urban land", "grass"})
"""Grounds that come in patches with soft outlines rather than in parcels."""


def _cover(drawing: Drawing) -> tuple[list[str], list[float]]:
    fine = {"agriculture land": 4.0, "grass": 2.0, "bare land": 1.0, "tree": 1.2, "rangeland": 0.6}
    coarse = {"agriculture land": 4.0, "grass": 1.2, "forest land": 1.5, "urban land": 1.2, "barren land": 0.4}
    cover = coarse if drawing.want.metres_per_pixel >= COARSE else fine
    if drawing.target:
        cover[drawing.target] = 9.0
    shown = {name: weight for name, weight in cover.items() if drawing.shows(name)} or {"grass": 1.0, "bare land": 1.0}
    if len(shown) == 1:
        shown["soil"] = 2.0
    return list(shown), list(shown.values())


def _waters(drawing: Drawing, scale: float) -> None:
    chance = drawing.rng.random()
    if chance < 0.25:
        river(drawing, drawing.anywhere(), float(np.clip(scale * 0.2, 8, 90)))
    elif chance < 0.5:
        lake(drawing, drawing.anywhere(), scale * 0.6)


def _lanes(drawing: Drawing) -> None:
    """A country road, farms along it, single trees."""
    if drawing.want.metres_per_pixel >= 2 * COARSE:
        return
    line = winding(drawing, drawing.anywhere(), 0.05 * drawing.reach, 0.5 * drawing.reach)
    drawing.paint("road", strip(line, 6.5))
    farms = [at for at in drawing.lattice(38, 46, drawing.anywhere()) if drawing.rng.random() < 0.05]
    drawing.fill("building", farms, on=("grass", "agriculture land", "bare land"))
    trees(drawing, strewn(drawing, 5), 0.6)


def wind_farm(drawing: Drawing) -> None:
    """Windmills in rows over fields, joined by tracks; rotors face the same wind."""
    names, weights = ["agriculture land", "grass", "bare land"], [4.0, 2.0, 1.0]
    quilt(drawing, names, weights, max(60.0, 0.5 * drawing.reach), "grass")
    pitch = drawing.size * (1.3 + 0.9 * drawing.knobs.spacing)
    places = drawing.lattice(pitch, 0.8 * pitch)
    for row in range(-3, 4):
        Road(drawing.frame.on(0, row * 0.8 * pitch + 5), lanes=1, lane=4.0, verge=0).paint(drawing)
    turn = float(drawing.rng.uniform(0, 2 * math.pi))
    drawing.fill("windmill", [at.on(0, 0, turn) for at in places], 0.8, loose=3.0)


def farmyard(drawing: Drawing) -> None:
    """Machines at work in the fields (tractors), or on bare ground (excavators, dump trucks)."""
    if drawing.target == "tractor":
        quilt(drawing, ["agriculture land", "grass"], [5.0, 1.0], 70, "grass")
    else:
        quilt(drawing, ["bare land", "barren land", "pavement"], [5.0, 2.0, 1.0], 45, "bare land")
    Road(drawing.frame.on(0, 0.7 * drawing.reach), lanes=2, verge=0).paint(drawing)
    pitch = drawing.size * (1.3 + 1.2 * drawing.knobs.spacing)
    places = drawing.lattice(pitch, pitch)
    ground = ("agriculture land", "grass", "bare land", "barren land", "pavement")
    places = [at.on(*drawing.rng.uniform(-0.2, 0.2, 2) * pitch) for at in places]
    drawing.fill(drawing.target, places, 0.35, loose=6.0, on=ground)
    drawing.fill("building", drawing.lattice(60, 55, drawing.frame.on(30, 30)), 0.3)
    trees(drawing, strewn(drawing, 6), 0.7)


def meadow(drawing: Drawing) -> None:
    """Open land for a category of the user's own: a thing strewn in loose rows."""
    quilt(drawing, ["grass", "bare land", "agriculture land"], [3.0, 1.0, 1.0], max(50.0, 0.5 * drawing.reach), "grass")
    pitch = drawing.size * (1.15 + 0.45 * drawing.knobs.spacing)
    drawing.fill(drawing.target, drawing.lattice(pitch, pitch), 0.6, loose=1.0)
    trees(drawing, strewn(drawing, 8), 0.6)
