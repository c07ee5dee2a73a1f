"""Towns: a street grid, houses along it, courtyard blocks, parks, car parks, gardens with pools."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.roads import DRIVEN, Road, drive, junction, paint_all, passing
from earthsynth_factory.conditions.procedural.shapes import Pose, Silhouette, ellipse, rectangle
from earthsynth_factory.conditions.procedural.terrain import lake, mottled, strewn, trees


@dataclass(frozen=True, slots=True)
class Block:
    """The ground between four streets: its middle and its sides, metres."""

    at: Pose
    long: float
    wide: float


def town(stage: Stage) -> None:
    """A grid of streets; every block is of one kind."""
    long, wide = _pitch(stage)
    main = _main_road(stage)
    streets, avenues = _grid(stage, main, long, wide)
    stage.flood(_soil(stage))
    blocks = [Block(stage.frame.on((i + 0.5) * long, (j + 0.5) * wide), long - main.outer, wide - main.outer)
              for i in _steps(stage, long) for j in _steps(stage, wide)]  # fmt: skip
    blocks = [block for block in blocks if _near(stage, block)]
    paint_all(stage, [*streets, *avenues])
    _junctions(stage, main, stage.lattice(long, wide))
    drive(stage, [*streets, *avenues])
    for block in blocks:
        _KINDS[_kind(stage)](stage, block)
    for road in (*streets, *avenues):
        trees(stage, road.kerbs(stage, 11.0), 0.12)


def _pitch(stage: Stage) -> tuple[float, float]:
    """Distances between streets; closer where several crossings are wanted in the picture."""
    long, wide = (float(stage.rng.uniform(*span)) for span in ((75, 130), (55, 80)))
    if stage.target not in ("roundabout", "intersection"):
        return long, wide
    closest = 1.15 * stage.size + 3
    room = 0.7 * min(stage.extent.across, stage.extent.down) / math.sqrt(stage.least) if stage.least > 1 else long
    return max(closest, min(long, room)), max(closest, min(wide, room))


def _main_road(stage: Stage) -> Road:
    """Two or four lanes; as wide as an intersection of the target's size needs."""
    lanes = int(stage.rng.choice([2, 2, 4]))
    if stage.target == "intersection":
        lanes = max(2, min(6, round(stage.size * 0.42 / 3.25)))
    return Road(stage.frame, lanes=lanes)


def _grid(stage: Stage, main: Road, long: float, wide: float) -> tuple[list[Road], list[Road]]:
    streets = [Road(stage.frame.on(0, j * wide), main.lanes) for j in _steps(stage, wide)]
    avenues = [Road(stage.frame.on(i * long, 0, math.pi / 2), main.lanes) for i in _steps(stage, long)]
    return passing(stage, streets), passing(stage, avenues)


def _steps(stage: Stage, size: float) -> range:
    most = math.ceil(1.3 * stage.reach / size)
    return range(-most, most + 1)


def _near(stage: Stage, block: Block) -> bool:
    return stage.extent.contains(block.at, -0.55 * math.hypot(block.long, block.wide))


def _soil(stage: Stage) -> str:
    """What lies between the houses."""
    if stage.target in ("urban land", "developed space", "pavement", "grass", "bare land"):
        return stage.target
    shown = [name for name in ("grass", "developed space", "bare land") if stage.shows(name)]
    return str(stage.rng.choice(shown or ["grass"]))


def _junctions(stage: Stage, main: Road, places: list[Pose]) -> None:
    if stage.target == "roundabout":
        _islands(stage, places)
        return
    for at in places:
        junction(stage, main, main, at)
    if stage.target == "intersection":
        stage.fill("intersection", places, figure=lambda: stage.figure("intersection", max(stage.size, 24.0)))


def _islands(stage: Stage, places: list[Pose]) -> None:
    """Roundabouts at the crossings, with a planted island in each that found room."""
    for at in stage.gathered(places):
        if stage.put("roundabout", at):
            stage.paint("grass", ellipse(stage.size * 0.9, stage.size * 0.9), at)
            trees(stage, [at], 0.6)


def _kind(stage: Stage) -> str:
    return str(stage.rng.choice(_FOR.get(stage.target, _USUAL)))


_USUAL = ["houses", "houses", "houses", "flats", "flats", "park", "cars"]

_FOR = {
    "building": ["houses", "flats"],
    "swimming pool": ["houses"],
    "tree": ["park", "park", "houses"],
    "bare land": ["open", "open", "houses"],
    "pavement": ["cars", "flats", "open"],
}
"""Kinds of block that serve a target."""


def _houses(stage: Stage, block: Block) -> None:
    """Two rows of houses back to back; gardens with trees and pools between them."""
    own = stage.size if stage.target == "building" else 0.0
    front = min(own, 26.0) or 14.0
    pitch = front + 5.0 * stage.knobs.spacing
    count = max(1, int(block.long // pitch))
    lots = [(i - (count - 1) / 2) * pitch for i in range(count)]
    rows = [(side, min(12.0, 0.8 * front)) for side in (-1, 1)]
    for side, deep in rows:
        places = [block.at.on(x, side * (block.wide / 2 - deep / 2 - 4), math.pi * (side > 0)) for x in lots]
        stage.fill("building", places, 1.2, figure=partial(_house, stage, front, deep))
        pools = [block.at.on(x + 2, side * (block.wide / 2 - deep - 11)) for x in lots]
        stage.fill("swimming pool", pools, 0.3, figure=lambda: _garden_pool(stage))
    trees(stage, [block.at.on(x + 5, float(stage.rng.uniform(-0.25, 0.25)) * block.wide) for x in lots * 2], 0.6)


def _house(stage: Stage, front: float, deep: float) -> Silhouette:
    return stage.figure("building", front * float(stage.rng.uniform(0.75, 1.0)), deep)


def _garden_pool(stage: Stage) -> Silhouette:
    return stage.figure("swimming pool", None if stage.target == "swimming pool" else float(stage.rng.uniform(7, 11)))


def _flats(stage: Stage, block: Block) -> None:
    """One or two large buildings: slabs, or around a courtyard."""
    stage.paint("pavement", rectangle(block.long * 0.96, block.wide * 0.96), block.at)
    stage.paint("grass", rectangle(block.long * 0.5, block.wide * 0.5), block.at)
    pieces = 1 if block.long < 1.4 * block.wide else 2
    long, wide = block.long / pieces - 8, block.wide - 10
    if stage.target == "building":
        long, wide = min(long, 1.08 * stage.size), min(wide, stage.size * 0.9)
    for piece in range(pieces):
        at = block.at.on((piece - (pieces - 1) / 2) * block.long / pieces)
        stage.fill("building", [at], 1.5, figure=lambda: stage.figure("building", long, wide))
    trees(stage, _about(stage, block, 8, 0.4), 0.6)


def _park(stage: Stage, block: Block) -> None:
    """Grass, a pond, many trees, a path."""
    stage.paint("grass", rectangle(block.long, block.wide), block.at)
    if stage.rng.random() < 0.5:
        lake(stage, block.at, 0.35 * block.wide)
    stage.paint("pavement", rectangle(block.long, 2.5), block.at.on(0, 0.3 * block.wide, 0.2))
    trees(stage, _about(stage, block, 30, 0.46), 1.0)


def _about(stage: Stage, block: Block, count: int, share: float) -> list[Pose]:
    """Random places in the block, up to this share of its sides from the middle."""
    spots = stage.rng.uniform(-share, share, (count, 2)).tolist()
    return [block.at.on(x * block.long, y * block.wide) for x, y in spots]


def _cars(stage: Stage, block: Block) -> None:
    """A shop with its car park."""
    stage.paint("pavement", rectangle(block.long * 0.97, block.wide * 0.95), block.at)
    shop = (block.long * 0.3, block.wide * 0.8)
    stage.fill("building", [block.at.on(-0.3 * block.long)], 2.0, figure=lambda: stage.figure("building", *shop))
    name = stage.target if stage.target in DRIVEN else "small vehicle"
    slots = _slots(stage, name, block.at.on(0.17 * block.long), 0.58 * block.long, 0.8 * block.wide)
    stage.fill(name, slots, 0.75, loose=0.15)


def _open(stage: Stage, block: Block) -> None:
    """Ground of the target's kind."""
    stage.paint(stage.target or "bare land", rectangle(block.long * 0.97, block.wide * 0.97), block.at)


_KINDS = {"houses": _houses, "flats": _flats, "park": _park, "cars": _cars, "open": _open}


def _slots(stage: Stage, name: str, at: Pose, long: float, wide: float) -> list[Pose]:
    """Parking places: rows of two back to back, an aisle of 6 m and more between them; noses in or out."""
    size = stage.size_of(name)
    deep = size.length[1] * (1.06 + 0.05 * stage.knobs.spacing)
    pitch = 0.4 + 0.5 * stage.knobs.spacing + min(2.6, size.length[1] * size.ratio[1])
    rows: list[float] = []
    start = -wide / 2 + deep / 2
    while start + deep <= wide / 2:
        rows += [start, start + deep]
        start += 2 * deep + max(6.0, 1.1 * deep)
    count = int(long // pitch)
    return [at.on((i - (count - 1) / 2) * pitch, row, math.pi / 2 * (1 if stage.rng.random() < 0.7 else -1))
            for row in rows for i in range(count)]  # fmt: skip


def car_park(stage: Stage) -> None:
    """A large lot beside a street."""
    mottled(stage, "grass", ("bare land", 0.2), feature=40)
    edge = 0.62 * stage.reach
    long, wide = min(3 * stage.reach, max(120.0, 9 * stage.size)), min(2 * edge, max(76.0, 5 * stage.size))
    lot = stage.frame.on(0, min(4 - 0.4 * stage.reach, 0.0))
    street = Road(stage.frame.on(0, edge + 9), lanes=2)
    stage.paint("pavement", rectangle(long + 12, wide + 14), lot)
    stage.paint("pavement", rectangle(12, edge + 0.4 * stage.reach, 0, edge / 2), stage.frame)
    street.paint(stage)
    slots = _slots(stage, stage.target, lot, long, wide)
    stage.fill(stage.target, slots, 0.85, loose=0.15)
    drive(stage, [street])
    plots = stage.lattice(26, 26, stage.frame.on(0, edge + 26))
    stage.fill("building", plots, on=("grass", "bare land"), figure=lambda: stage.figure("building", 19.0))
    trees(stage, [stage.frame.on(x * 11.0, edge + 1.5) for x in range(-40, 41)], 0.5)


def avenue(stage: Stage) -> None:
    """Streets full of traffic."""
    road = Road(stage.frame, lanes=int(stage.rng.choice([2, 4, 6])), median=float(stage.rng.choice([0.0, 4.0])))
    side = Road(stage.frame.on(0.2 * stage.reach, 0, math.pi / 2), lanes=2)
    mottled(stage, "grass", ("bare land", 0.2), ("pavement", 0.15), feature=35)
    paint_all(stage, [road, side])
    junction(stage, road, side, side.frame.on(0, 0, -math.pi / 2))
    drive(stage, [road, side], 14)
    plots = stage.lattice(24, 22, stage.frame.on(0, road.outer / 2 + 12))
    ground = ("grass", "bare land", "pavement")
    stage.fill("building", plots, 0.8, on=ground, figure=lambda: stage.figure("building", 15.0))
    trees(stage, strewn(stage, 20), 0.6)
