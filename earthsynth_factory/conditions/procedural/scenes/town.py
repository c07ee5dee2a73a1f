"""Towns: a street grid, houses along it, courtyard blocks, parks, car parks, gardens with pools."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.roads import DRIVEN, Road, drive, junction, paint_all, passing
from earthsynth_factory.conditions.procedural.shapes import Pose, Silhouette, ellipse, rectangle
from earthsynth_factory.conditions.procedural.terrain import lake, mottled, strewn, trees
from earthsynth_factory.domain.seeds import one_of


@dataclass(frozen=True, slots=True)
class Block:
    """The ground between four streets: its middle and its sides, metres."""

    at: Pose
    long: float
    wide: float


def town(drawing: Drawing) -> None:
    """A grid of streets; every block is of one kind."""
    long, wide = _pitch(drawing)
    main = _main_road(drawing)
    streets, avenues = _grid(drawing, main, long, wide)
    drawing.flood(_soil(drawing))
    blocks = [Block(drawing.frame.on((i + 0.5) * long, (j + 0.5) * wide), long - main.outer, wide - main.outer)
              for i in _steps(drawing, long) for j in _steps(drawing, wide)]  # fmt: skip
    blocks = [block for block in blocks if _near(drawing, block)]
    paint_all(drawing, [*streets, *avenues])
    _junctions(drawing, main, drawing.lattice(long, wide))
    drive(drawing, [*streets, *avenues])
    for block in blocks:
        _KINDS[_kind(drawing)](drawing, block)
    for road in (*streets, *avenues):
        trees(drawing, road.kerbs(drawing, 11.0), 0.12)


def _pitch(drawing: Drawing) -> tuple[float, float]:
    """Distances between streets; closer if several crossings are wanted in the picture."""
    long, wide = (float(drawing.rng.uniform(*span)) for span in ((75, 130), (55, 80)))
    if drawing.target not in ("roundabout", "intersection"):
        return long, wide
    closest = 1.15 * drawing.size + 3
    room = (
        0.7 * min(drawing.extent.across, drawing.extent.down) / math.sqrt(drawing.least) if drawing.least > 1 else long
    )
    return max(closest, min(long, room)), max(closest, min(wide, room))


def _main_road(drawing: Drawing) -> Road:
    """Two or four lanes; as wide as an intersection of the target's size needs."""
    lanes = one_of(drawing.rng, [2, 2, 4])
    if drawing.target == "intersection":
        lanes = max(2, min(6, round(drawing.size * 0.42 / 3.25)))
    return Road(drawing.frame, lanes=lanes)


def _grid(drawing: Drawing, main: Road, long: float, wide: float) -> tuple[list[Road], list[Road]]:
    streets = [Road(drawing.frame.on(0, j * wide), main.lanes) for j in _steps(drawing, wide)]
    avenues = [Road(drawing.frame.on(i * long, 0, math.pi / 2), main.lanes) for i in _steps(drawing, long)]
    return passing(drawing, streets), passing(drawing, avenues)


def _steps(drawing: Drawing, size: float) -> range:
    most = math.ceil(1.3 * drawing.reach / size)
    return range(-most, most + 1)


def _near(drawing: Drawing, block: Block) -> bool:
    return drawing.extent.contains(block.at, -0.55 * math.hypot(block.long, block.wide))


def _soil(drawing: Drawing) -> str:
    """What lies between the houses."""
    if drawing.target in ("urban land", "developed space", "pavement", "grass", "bare land"):
        return drawing.target
    shown = [name for name in ("grass", "developed space", "bare land") if drawing.shows(name)]
    return one_of(drawing.rng, shown or ["grass"])


def _junctions(drawing: Drawing, main: Road, places: list[Pose]) -> None:
    if drawing.target == "roundabout":
        _islands(drawing, places)
        return
    for at in places:
        junction(drawing, main, main, at)
    if drawing.target == "intersection":
        drawing.fill("intersection", places, figure=lambda: drawing.figure("intersection", max(drawing.size, 24.0)))


def _islands(drawing: Drawing, places: list[Pose]) -> None:
    """Roundabouts at the crossings, with a planted island in each that found room."""
    for at in drawing.gathered(places):
        if drawing.put("roundabout", at):
            drawing.paint("grass", ellipse(drawing.size * 0.9, drawing.size * 0.9), at)
            trees(drawing, [at], 0.6)


def _kind(drawing: Drawing) -> str:
    return one_of(drawing.rng, _FOR.get(drawing.target, _USUAL))


_USUAL = ["houses", "houses", "houses", "flats", "flats", "park", "cars"]

_FOR = {
    "building": ["houses", "flats"],
    "swimming pool": ["houses"],
    "tree": ["park", "park", "houses"],
    "bare land": ["open", "open", "houses"],
    "pavement": ["cars", "flats", "open"],
}
"""Kinds of block that serve a target."""


def _houses(drawing: Drawing, block: Block) -> None:
    """Two rows of houses back to back; gardens with trees and pools between them."""
    own = drawing.size if drawing.target == "building" else 0.0
    front = min(own, 26.0) or 14.0
    pitch = front + 5.0 * drawing.knobs.spacing
    count = max(1, int(block.long // pitch))
    lots = [(i - (count - 1) / 2) * pitch for i in range(count)]
    rows = [(side, min(12.0, 0.8 * front)) for side in (-1, 1)]
    for side, deep in rows:
        places = [block.at.on(x, side * (block.wide / 2 - deep / 2 - 4), math.pi * (side > 0)) for x in lots]
        drawing.fill("building", places, 1.2, figure=partial(_house, drawing, front, deep))
        pools = [block.at.on(x + 2, side * (block.wide / 2 - deep - 11)) for x in lots]
        drawing.fill("swimming pool", pools, 0.3, figure=lambda: _garden_pool(drawing))
    trees(drawing, [block.at.on(x + 5, float(drawing.rng.uniform(-0.25, 0.25)) * block.wide) for x in lots * 2], 0.6)


def _house(drawing: Drawing, front: float, deep: float) -> Silhouette:
    return drawing.figure("building", front * float(drawing.rng.uniform(0.75, 1.0)), deep)


def _garden_pool(drawing: Drawing) -> Silhouette:
    return drawing.figure(
        "swimming pool", None if drawing.target == "swimming pool" else float(drawing.rng.uniform(7, 11))
    )


def _flats(drawing: Drawing, block: Block) -> None:
    """One or two large buildings: slabs, or around a courtyard."""
    drawing.paint("pavement", rectangle(block.long * 0.96, block.wide * 0.96), block.at)
    drawing.paint("grass", rectangle(block.long * 0.5, block.wide * 0.5), block.at)
    pieces = 1 if block.long < 1.4 * block.wide else 2
    long, wide = block.long / pieces - 8, block.wide - 10
    if drawing.target == "building":
        long, wide = min(long, 1.08 * drawing.size), min(wide, drawing.size * 0.9)
    for piece in range(pieces):
        at = block.at.on((piece - (pieces - 1) / 2) * block.long / pieces)
        drawing.fill("building", [at], 1.5, figure=lambda: drawing.figure("building", long, wide))
    trees(drawing, _about(drawing, block, 8, 0.4), 0.6)


def _park(drawing: Drawing, block: Block) -> None:
    """Grass, a pond, many trees, a path."""
    drawing.paint("grass", rectangle(block.long, block.wide), block.at)
    if drawing.rng.random() < 0.5:
        lake(drawing, block.at, 0.35 * block.wide)
    drawing.paint("pavement", rectangle(block.long, 2.5), block.at.on(0, 0.3 * block.wide, 0.2))
    trees(drawing, _about(drawing, block, 30, 0.46), 1.0)


def _about(drawing: Drawing, block: Block, count: int, share: float) -> list[Pose]:
    """Random places in the block, up to this share of its sides from the middle."""
    spots = drawing.rng.uniform(-share, share, (count, 2)).tolist()
    return [block.at.on(x * block.long, y * block.wide) for x, y in spots]


def _cars(drawing: Drawing, block: Block) -> None:
    """A shop with its car park."""
    drawing.paint("pavement", rectangle(block.long * 0.97, block.wide * 0.95), block.at)
    shop = (block.long * 0.3, block.wide * 0.8)
    drawing.fill("building", [block.at.on(-0.3 * block.long)], 2.0, figure=lambda: drawing.figure("building", *shop))
    name = drawing.target if drawing.target in DRIVEN else "small vehicle"
    slots = _slots(drawing, name, block.at.on(0.17 * block.long), 0.58 * block.long, 0.8 * block.wide)
    drawing.fill(name, slots, 0.75, loose=0.15)


def _open(drawing: Drawing, block: Block) -> None:
    """Ground of the target's kind."""
    drawing.paint(drawing.target or "bare land", rectangle(block.long * 0.97, block.wide * 0.97), block.at)


_KINDS = {"houses": _houses, "flats": _flats, "park": _park, "cars": _cars, "open": _open}


def _slots(drawing: Drawing, name: str, at: Pose, long: float, wide: float) -> list[Pose]:
    """Parking places: rows of two back to back, an aisle of 6 m and more between them; noses in or out."""
    size = drawing.size_of(name)
    deep = size.length[1] * (1.06 + 0.05 * drawing.knobs.spacing)
    pitch = 0.4 + 0.5 * drawing.knobs.spacing + min(2.6, size.length[1] * size.ratio[1])
    rows: list[float] = []
    start = -wide / 2 + deep / 2
    while start + deep <= wide / 2:
        rows += [start, start + deep]
        start += 2 * deep + max(6.0, 1.1 * deep)
    count = int(long // pitch)
    return [at.on((i - (count - 1) / 2) * pitch, row, math.pi / 2 * (1 if drawing.rng.random() < 0.7 else -1))
            for row in rows for i in range(count)]  # fmt: skip


def car_park(drawing: Drawing) -> None:
    """A large lot beside a street."""
    mottled(drawing, "grass", ("bare land", 0.2), feature=40)
    edge = 0.62 * drawing.reach
    long, wide = min(3 * drawing.reach, max(120.0, 9 * drawing.size)), min(2 * edge, max(76.0, 5 * drawing.size))
    lot = drawing.frame.on(0, min(4 - 0.4 * drawing.reach, 0.0))
    street = Road(drawing.frame.on(0, edge + 9), lanes=2)
    drawing.paint("pavement", rectangle(long + 12, wide + 14), lot)
    drawing.paint("pavement", rectangle(12, edge + 0.4 * drawing.reach, 0, edge / 2), drawing.frame)
    street.paint(drawing)
    slots = _slots(drawing, drawing.target, lot, long, wide)
    drawing.fill(drawing.target, slots, 0.85, loose=0.15)
    drive(drawing, [street])
    plots = drawing.lattice(26, 26, drawing.frame.on(0, edge + 26))
    drawing.fill("building", plots, on=("grass", "bare land"), figure=lambda: drawing.figure("building", 19.0))
    trees(drawing, [drawing.frame.on(x * 11.0, edge + 1.5) for x in range(-40, 41)], 0.5)


def avenue(drawing: Drawing) -> None:
    """Streets full of traffic."""
    road = Road(drawing.frame, lanes=one_of(drawing.rng, [2, 4, 6]), median=one_of(drawing.rng, [0.0, 4.0]))
    side = Road(drawing.frame.on(0.2 * drawing.reach, 0, math.pi / 2), lanes=2)
    mottled(drawing, "grass", ("bare land", 0.2), ("pavement", 0.15), feature=35)
    paint_all(drawing, [road, side])
    junction(drawing, road, side, side.frame.on(0, 0, -math.pi / 2))
    drive(drawing, [road, side], 14)
    plots = drawing.lattice(24, 22, drawing.frame.on(0, road.outer / 2 + 12))
    ground = ("grass", "bare land", "pavement")
    drawing.fill("building", plots, 0.8, on=ground, figure=lambda: drawing.figure("building", 15.0))
    trees(drawing, strewn(drawing, 20), 0.6)
