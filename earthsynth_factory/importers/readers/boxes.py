"""What the readers of corner lists share: objects filled from what was drawn, faults named by their line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from earthsynth_factory.geometry.given import Given, shared_area
from earthsynth_factory.importers.outlines import fill
from earthsynth_factory.importers.scene import OUTSIDE, Notes, SceneObject


@dataclass(frozen=True, slots=True)
class Drawn:
    """An object as a line of an annotation file draws it; `place` names file and line."""

    word: str
    given: Given
    place: str
    difficult: bool = False
    crowd: bool = False


def say_cut(given: Given, size: tuple[int, int], notes: Notes) -> None:
    """A remark on an object of which more than half lies outside its image: perhaps its numbers mean something else."""
    box = given.bounds()
    if shared_area(box, (0, 0, size[1], size[0])) < box[2] * box[3] / 2:
        notes.remarks["objects more than half outside their image, cut at its edge"] += 1


def filled(drawn: Iterable[Drawn], size: tuple[int, int], notes: Notes) -> tuple[SceneObject, ...]:
    """Pixels of each; what cannot be filled is a fault, what lies outside the image of `size` (H, W) is counted."""
    found = []
    for one in drawn:
        try:
            patch = fill(one.given, size)
        except ValueError as error:
            notes.fault(one.place, str(error))
            continue
        if patch is None:
            notes.left_out[OUTSIDE] += 1
        else:
            say_cut(one.given, size, notes)
            found.append(SceneObject(one.word, *patch, crowd=one.crowd, difficult=one.difficult, given=one.given))
    return tuple(found)
