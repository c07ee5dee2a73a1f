"""Families of layouts, and which of them shows what."""

from __future__ import annotations

from collections.abc import Callable

from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.scenes import (
    airport,
    corridor,
    countryside,
    crossing,
    industry,
    port,
    sports,
    town,
)
from earthsynth_factory.domain.categories import rows

DrawScene = Callable[[Drawing], None]

_FAMILIES = {
    module.__name__.rpartition(".")[2]: module
    for module in (airport, corridor, countryside, crossing, industry, port, sports, town)
}


def _scene(name: str) -> DrawScene:
    """`port.quay` → the layout of that name."""
    family, _, layout = name.partition(".")
    scene: DrawScene = getattr(_FAMILIES[family], layout)
    return scene


SCENES: dict[str, tuple[DrawScene, ...]] = {row.name: tuple(map(_scene, row.scenes)) for row in rows() if row.scenes}
"""Name → the scenes that show it; one is drawn by the seed."""

LAND: tuple[DrawScene, ...] = (countryside.land, town.town)
"""For negatives, and (the first) for a land cover of the user's own."""

OWN: tuple[DrawScene, ...] = (countryside.meadow,)
"""For a thing of the user's own."""

STANDS_ON: dict[str, tuple[str, ...]] = {row.name: row.ground for row in rows() if row.ground}
"""Ground that a thing needs under it; it is all that a `sparse` picture shows beside the target."""
