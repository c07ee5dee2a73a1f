"""Sports grounds: fields and courts side by side, each on its own surface."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural import structures
from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import Pose, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, strewn, trees

_RUN_OFF = {"tennis court": (13.0, 7.3), "basketball court": (4.0, 4.0), "soccer ball field": (10.0, 10.0)}
"""Metres between neighbours, along and across; the tennis figures are the ITF's 6.4 and 3.66 m on each side."""


def grounds(drawing: Drawing) -> None:
    """The target in rows on its surface, with trees and a street about it."""
    name = drawing.target
    size = drawing.size_of(name)
    wide = drawing.size * sum(size.ratio) / 2
    mottled(drawing, "grass", ("tree", 0.12), ("bare land", 0.08), feature=45)
    Road(drawing.frame.on(0, -drawing.reach * 0.8), lanes=2).paint(drawing)
    along, across = _RUN_OFF.get(name, (0.15 * drawing.size, 0.15 * drawing.size))
    step = (drawing.size + along * drawing.knobs.spacing, wide + across * drawing.knobs.spacing)
    places = drawing.lattice(*step)
    if name.endswith("court"):
        drawing.paint("pavement", rectangle(step[0] * 3.98, step[1] * 2.98), drawing.frame.on(step[0] / 2))
    drawing.fill(name, [at.on(0, 0, math.pi * int(drawing.rng.integers(2))) for at in places], 0.8)
    for at in places:
        _inside(drawing, at)
    trees(drawing, strewn(drawing, 12), 0.8)


def _inside(drawing: Drawing, at: Pose) -> None:
    """What lies in the open middle of a stadium."""
    if drawing.target == "stadium" and drawing.size > 190:
        drawing.put("soccer ball field", at, rectangle(105, 68))


def diamonds(drawing: Drawing) -> None:
    """Baseball fields back to back: four home plates about one middle."""
    mottled(drawing, "grass", ("tree", 0.15), feature=40)
    reach = drawing.size * (0.56 + 0.06 * drawing.knobs.spacing)
    Road(drawing.frame.on(-2.6 * reach, 0, math.pi / 2)).paint(drawing)
    one = drawing.most == 1 or 2 * drawing.size > min(drawing.extent.across, drawing.extent.down)
    hubs = [drawing.frame] if one else drawing.lattice(4.4 * reach, 4.4 * reach)
    turns = [float(drawing.rng.integers(8))] if one else [0.0, 1.0, 2.0, 3.0]
    places = [hub.on(0, 0, turn * math.pi / 2).on(0 if one else reach) for hub in hubs for turn in turns]
    drawing.fill("baseball diamond", places, 0.85, loose=0.3)
    trees(drawing, strewn(drawing, 12), 0.6)


def oval(drawing: Drawing) -> None:
    """Running tracks. Where a football field may be named it lies inside, and the track is its lanes alone."""
    mottled(drawing, "grass", ("tree", 0.15), feature=45)
    long, wide = drawing.size, drawing.size * 92.52 / 176.91
    step = 1.0 + 0.15 * drawing.knobs.spacing
    filled = drawing.shows("soccer ball field") and long > 130
    build = structures.track_ring if filled else structures.track
    places = drawing.lattice(long * step, wide * step)
    drawing.fill("ground track field", places, 0.8, figure=lambda: build(long, wide))
    if filled:
        drawing.fill("soccer ball field", places, 1.0, figure=lambda: rectangle(long * 0.565, wide * 0.69))
    Road(drawing.frame.on(0, wide * 0.75 * step), lanes=2).paint(drawing)
    drawing.fill("building", drawing.lattice(60, 60, drawing.frame.on(0, wide)), 0.5, on=("grass", "tree"))
    trees(drawing, strewn(drawing, 10), 0.6)
