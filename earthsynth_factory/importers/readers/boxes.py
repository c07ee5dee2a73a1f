"""What the readers of corner lists share: objects drawn as polygons, faults named by their line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from earthsynth_factory.importers.outlines import Polygon, fill_polygons
from earthsynth_factory.importers.scene import Notes, SceneObject


@dataclass(frozen=True, slots=True)
class Drawn:
    """An object as a line of an annotation file draws it; `place` names file and line."""

    word: str
    polygon: Polygon
    place: str
    difficult: bool = False


def filled(drawn: Iterable[Drawn], size: tuple[int, int], notes: Notes) -> tuple[SceneObject, ...]:
    """Pixels of each; what cannot be filled is a fault, what lies outside the image of `size` (H, W) is counted."""
    found = []
    for one in drawn:
        try:
            patch = fill_polygons([one.polygon], size)
        except ValueError as error:
            notes.fault(one.place, str(error))
            continue
        if patch is None:
            notes.left_out["object outside its image"] += 1
        else:
            found.append(SceneObject(one.word, *patch, difficult=one.difficult))
    return tuple(found)


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygon:
    """The four corners of an upright box, clockwise from the upper left."""
    return [left, top, right, top, right, bottom, left, bottom]
