"""Industry: tank farms, and works with their chimneys."""

from __future__ import annotations

from earthsynth_factory.conditions.procedural.drawing import Stage
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, trees


def tank_farm(stage: Stage) -> None:
    """Blocks of tanks; a block's tanks have one diameter and stand in their bunds, a lane parts the blocks."""
    mottled(stage, "bare land", ("grass", 0.25), feature=50)
    side, cursor, frame = 1.0, 0.0, stage.frame
    near = far = 0.0
    for block in range(8):
        diameter = stage.sized(float(stage.rng.uniform(0.5, 1.2))) if block else stage.size
        pitch = diameter * (1.18 + 0.3 * stage.knobs.spacing)
        columns = int(stage.rng.integers(1, 4)) if diameter < 0.4 * stage.reach else 1
        middle = (near + columns * pitch / 2 if side > 0 else far - columns * pitch / 2) if block else 0.0
        _block(stage, middle, columns, diameter, pitch)
        if block == 0:
            near, far = columns * pitch / 2 + 9, -columns * pitch / 2 - 9
        elif side > 0:
            near += columns * pitch + 9
        else:
            far -= columns * pitch + 9
        side, cursor = -side, max(near, -far)
        if cursor > stage.reach:
            break
    trees(stage, [frame.on(0, v * 12.0) for v in range(-20, 20)], 0.1)


def _block(stage: Stage, middle: float, columns: int, diameter: float, pitch: float) -> None:
    rows = range(-int(stage.reach // pitch) - 1, int(stage.reach // pitch) + 2)
    at = stage.frame.on(middle)
    for edge in (-1, 1):
        lane = at.on(edge * (columns * pitch / 2 + 4.5), 0, 1.5707963)
        Road(lane, lanes=2, lane=3.0, verge=0).paint(stage)
    places = [at.on((column - (columns - 1) / 2) * pitch, row * pitch) for row in rows for column in range(columns)]
    for place in places:
        stage.paint("pavement", rectangle(pitch - 1.5, pitch - 1.5), place)
    stage.fill("storage tank", places, 0.9, figure=lambda: stage.figure("storage tank", diameter))


def works(stage: Stage) -> None:
    """Sheds and yards; chimneys all lean the same way, away from the eye."""
    mottled(stage, "pavement", ("bare land", 0.25), ("grass", 0.1), feature=45)
    Road(stage.frame.on(0, 0.7 * (stage.size or 50.0)), lanes=2, verge=1.5).paint(stage)
    tall = stage.size or 40.0
    stacks = [at.on(0, 0, 0.6) for at in stage.lattice(tall * 0.9, tall * (1.1 + 0.5 * stage.knobs.spacing))]
    stage.fill("chimney", stacks, 0.5)
    sheds = stage.lattice(52.0, 40.0, stage.frame.on(12, -20))
    stage.fill("building", sheds, 0.85, figure=lambda: stage.figure("building", float(stage.rng.uniform(30, 46))))
    tanks = stage.lattice(17.0, 17.0, stage.frame.on(3, 5))
    stage.fill("storage tank", tanks, 0.12, figure=lambda: stage.figure("storage tank", 11.0))
    trees(stage, stage.lattice(13.0, 40.0, stage.frame.on(0, 3)), 0.2)
