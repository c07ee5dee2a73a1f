"""Industry: tank farms, and works with their chimneys."""

from __future__ import annotations

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.roads import Road
from earthsynth_factory.conditions.procedural.shapes import rectangle
from earthsynth_factory.conditions.procedural.terrain import mottled, trees


def tank_farm(drawing: Drawing) -> None:
    """Blocks of tanks; a block's tanks have one diameter and stand in their bunds, a lane parts the blocks."""
    mottled(drawing, "bare land", ("grass", 0.25), feature=50)
    side, cursor, frame = 1.0, 0.0, drawing.frame
    near = far = 0.0
    for block in range(8):
        diameter = drawing.sized(float(drawing.rng.uniform(0.5, 1.2))) if block else drawing.size
        pitch = diameter * (1.18 + 0.3 * drawing.knobs.spacing)
        columns = int(drawing.rng.integers(1, 4)) if diameter < 0.4 * drawing.reach else 1
        middle = (near + columns * pitch / 2 if side > 0 else far - columns * pitch / 2) if block else 0.0
        _block(drawing, middle, columns, diameter, pitch)
        if block == 0:
            near, far = columns * pitch / 2 + 9, -columns * pitch / 2 - 9
        elif side > 0:
            near += columns * pitch + 9
        else:
            far -= columns * pitch + 9
        side, cursor = -side, max(near, -far)
        if cursor > drawing.reach:
            break
    trees(drawing, [frame.on(0, v * 12.0) for v in range(-20, 20)], 0.1)


def _block(drawing: Drawing, middle: float, columns: int, diameter: float, pitch: float) -> None:
    rows = range(-int(drawing.reach // pitch) - 1, int(drawing.reach // pitch) + 2)
    at = drawing.frame.on(middle)
    for edge in (-1, 1):
        lane = at.on(edge * (columns * pitch / 2 + 4.5), 0, 1.5707963)
        Road(lane, lanes=2, lane=3.0, verge=0).paint(drawing)
    places = [at.on((column - (columns - 1) / 2) * pitch, row * pitch) for row in rows for column in range(columns)]
    for place in places:
        drawing.paint("pavement", rectangle(pitch - 1.5, pitch - 1.5), place)
    drawing.fill("storage tank", places, 0.9, figure=lambda: drawing.figure("storage tank", diameter))


def works(drawing: Drawing) -> None:
    """Sheds and yards; chimneys all lean the same way, away from the eye."""
    mottled(drawing, "pavement", ("bare land", 0.25), ("grass", 0.1), feature=45)
    Road(drawing.frame.on(0, 0.7 * (drawing.size or 50.0)), lanes=2, verge=1.5).paint(drawing)
    tall = drawing.size or 40.0
    stacks = [at.on(0, 0, 0.6) for at in drawing.lattice(tall * 0.9, tall * (1.1 + 0.5 * drawing.knobs.spacing))]
    drawing.fill("chimney", stacks, 0.5)
    sheds = drawing.lattice(52.0, 40.0, drawing.frame.on(12, -20))
    drawing.fill("building", sheds, 0.85, figure=lambda: drawing.figure("building", float(drawing.rng.uniform(30, 46))))
    tanks = drawing.lattice(17.0, 17.0, drawing.frame.on(3, 5))
    drawing.fill("storage tank", tanks, 0.12, figure=lambda: drawing.figure("storage tank", 11.0))
    trees(drawing, drawing.lattice(13.0, 40.0, drawing.frame.on(0, 3)), 0.2)
