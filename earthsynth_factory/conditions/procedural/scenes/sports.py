"""Sports grounds: fields and courts side by side, each on its own surface."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural import structures
from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import Pose, rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, strewn, trees

_RUN_OFF = {"tennis court": (13.0, 7.3), "basketball court": (4.0, 4.0), "soccer ball field": (10.0, 10.0)}
"""Metres between neighbours, along and across; the tennis figures are the ITF's 6.4 and 3.66 m on each side."""


def grounds(stage: Stage) -> None:
    """The target in rows on its surface, with trees and a street about it."""
    name = stage.target
    size = stage.size_of(name)
    wide = stage.size * sum(size.ratio) / 2
    mottled(stage, "grass", ("tree", 0.12), ("bare land", 0.08), feature=45)
    Road(stage.frame.on(0, -stage.reach * 0.8), lanes=2).paint(stage)
    along, across = _RUN_OFF.get(name, (0.15 * stage.size, 0.15 * stage.size))
    step = (stage.size + along * stage.knobs.spacing, wide + across * stage.knobs.spacing)
    places = stage.lattice(*step)
    if name.endswith("court"):
        stage.paint("pavement", rectangle(step[0] * 3.98, step[1] * 2.98), stage.frame.on(step[0] / 2))
    stage.fill(name, [at.on(0, 0, math.pi * int(stage.rng.integers(2))) for at in places], 0.8)
    for at in places:
        _inside(stage, at)
    trees(stage, strewn(stage, 12), 0.8)


def _inside(stage: Stage, at: Pose) -> None:
    """What lies in the open middle of a stadium."""
    if stage.target == "stadium" and stage.size > 190:
        stage.put("soccer ball field", at, rectangle(105, 68))


def diamonds(stage: Stage) -> None:
    """Baseball fields back to back: four home plates about one middle."""
    mottled(stage, "grass", ("tree", 0.15), feature=40)
    reach = stage.size * (0.56 + 0.06 * stage.knobs.spacing)
    Road(stage.frame.on(-2.6 * reach, 0, math.pi / 2)).paint(stage)
    one = stage.most == 1 or 2 * stage.size > min(stage.extent.across, stage.extent.down)
    hubs = [stage.frame] if one else stage.lattice(4.4 * reach, 4.4 * reach)
    turns = [float(stage.rng.integers(8))] if one else [0.0, 1.0, 2.0, 3.0]
    places = [hub.on(0, 0, turn * math.pi / 2).on(0 if one else reach) for hub in hubs for turn in turns]
    stage.fill("baseball diamond", places, 0.85, loose=0.3)
    trees(stage, strewn(stage, 12), 0.6)


def oval(stage: Stage) -> None:
    """Running tracks. Where a football field may be named it lies inside, and the track is its lanes alone."""
    mottled(stage, "grass", ("tree", 0.15), feature=45)
    long, wide = stage.size, stage.size * 92.52 / 176.91
    step = 1.0 + 0.15 * stage.knobs.spacing
    filled = stage.shows("soccer ball field") and long > 130
    build = structures.track_ring if filled else structures.track
    places = stage.lattice(long * step, wide * step)
    stage.fill("ground track field", places, 0.8, figure=lambda: build(long, wide))
    if filled:
        stage.fill("soccer ball field", places, 1.0, figure=lambda: rectangle(long * 0.565, wide * 0.69))
    Road(stage.frame.on(0, wide * 0.75 * step), lanes=2).paint(stage)
    stage.fill("building", stage.lattice(60, 60, stage.frame.on(0, wide)), 0.5, on=("grass", "tree"))
    trees(stage, strewn(stage, 10), 0.6)
