"""Name → silhouette: which builder draws what. A figure lies about the origin and faces +x."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from earthsynth_factory.conditions.procedural import aircraft_and_ships, structures, vehicles
from earthsynth_factory.conditions.procedural.shapes import Silhouette, cross, ellipse, rectangle, ring, rounded
from earthsynth_factory.domain.categories import rows

Figure = Callable[[np.random.Generator, float, float], Silhouette]
"""(random numbers, length, width) → silhouette, metres."""

Shape = Literal["rectangle", "disc", "ellipse", "cross", "l", "ring", "plane", "ship", "helicopter", "car", "blob"]
"""What a recipe may choose for a category of its own."""


def _fixed(build: Callable[[float, float], Silhouette]) -> Figure:
    return lambda _rng, length, width: build(length, width)


def _plane(_rng: np.random.Generator, length: float, span: float) -> Silhouette:
    """Sports planes have straight wings, the largest jets four engines."""
    if length < 15:
        return aircraft_and_ships.light_plane(length, span)
    return aircraft_and_ships.airliner(length, span, engines=(0.3, 0.58) if length > 69 else (0.33,))


def _vehicle(rng: np.random.Generator, length: float, width: float) -> Silhouette:
    return vehicles.car(length, width) if length < 5.5 else _heavy(rng, length, width)


def _heavy(rng: np.random.Generator, length: float, width: float) -> Silhouette:
    return vehicles.lorry(length, width) if rng.random() < 0.6 else vehicles.box(length, width)


def _ship(_rng: np.random.Generator, length: float, beam: float) -> Silhouette:
    build = (
        aircraft_and_ships.motorboat
        if length < 18
        else aircraft_and_ships.hull
        if length < 90
        else aircraft_and_ships.cargo_ship
    )
    return build(length, beam)


def _ell(length: float, width: float) -> Silhouette:
    side = rectangle(length, width * 0.4, 0, width * 0.3)
    return side | rectangle(length * 0.35, width, -length * 0.325)


_twin, _quad = _fixed(aircraft_and_ships.airliner), _fixed(partial(aircraft_and_ships.airliner, engines=(0.28, 0.58)))
_wide = _fixed(partial(aircraft_and_ships.airliner, body=0.088))
_bar = _fixed(rectangle)

BUILDERS: dict[str, Figure] = {
    "footprint": structures.footprint,
    "pool": structures.pool,
    "ellipse": _fixed(ellipse),
    "chimney": _fixed(structures.chimney),
    "windmill": _fixed(structures.windmill),
    "helipad": _fixed(lambda length, width: rounded(length, width, length * 0.42)),
    "pier": _fixed(
        lambda length, width: (structures.jetty if length > 110 else structures.marina_shape)(length, width)
    ),
    "container crane": _fixed(structures.container_crane),
    "bar": _bar,
    "dam": _fixed(structures.dam_shape),
    "track": _fixed(structures.track),
    "diamond": _fixed(structures.diamond),
    "stadium": _fixed(structures.stadium),
    "golf field": structures.golf_field,
    "roundabout": _fixed(structures.roundabout),
    "crossing": _fixed(structures.crossing),
    "service area": _fixed(structures.service_area_shape),
    "toll station": _fixed(structures.toll_station_shape),
    "train station": _fixed(structures.train_station_shape),
    "car": _fixed(vehicles.car),
    "heavy vehicle": _heavy,
    "vehicle": _vehicle,
    "box": _fixed(vehicles.box),
    "lorry": _fixed(vehicles.lorry),
    "excavator": _fixed(vehicles.excavator),
    "tractor": _fixed(vehicles.tractor),
    "trailer": _fixed(vehicles.trailer),
    "truck tractor": _fixed(vehicles.truck_tractor),
    "plane": _plane,
    "helicopter": _fixed(aircraft_and_ships.helicopter),
    "twin jet": _twin,
    "wide jet": _wide,
    "regional jet": _fixed(aircraft_and_ships.regional_jet),
    "four-engined jet": _quad,
    "ship": _ship,
    "motorboat": _fixed(aircraft_and_ships.motorboat),
    "fishing boat": _fixed(partial(aircraft_and_ships.hull, bow=0.35, stern=0.7)),
    "tugboat": _fixed(aircraft_and_ships.tugboat),
    "engineering ship": _fixed(aircraft_and_ships.engineering_ship),
    "passenger ship": _fixed(partial(aircraft_and_ships.hull, bow=0.24, stern=0.9)),
    "cargo ship": _fixed(aircraft_and_ships.cargo_ship),
    "warship": _fixed(aircraft_and_ships.warship),
}
"""What `figure` in the table of categories may say."""

FIGURES: dict[str, Figure] = {row.name: BUILDERS[row.figure] for row in rows() if row.figure}

GENERIC: dict[Shape, Figure] = {
    "rectangle": _bar,
    "disc": _fixed(lambda length, _width: ellipse(length, length)),
    "ellipse": _fixed(ellipse),
    "cross": _fixed(lambda length, width: cross(length, width / 2)),
    "l": _fixed(_ell),
    "ring": _fixed(lambda length, _width: ring(length, length * 0.55)),
    "plane": _twin,
    "ship": _fixed(aircraft_and_ships.hull),
    "helicopter": _fixed(aircraft_and_ships.helicopter),
    "car": _fixed(vehicles.car),
    "blob": structures.plot_shape,
}
