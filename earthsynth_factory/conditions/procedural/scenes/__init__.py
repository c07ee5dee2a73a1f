"""Families of layouts, and which of them shows what."""

from __future__ import annotations

from collections.abc import Callable

from earthsynth_factory.conditions.procedural.drawing import Stage
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

Scene = Callable[[Stage], None]

_PLANES = (
    "plane", "A220", "A321", "A330", "A350", "ARJ21", "Boeing737", "Boeing747", "Boeing777", "Boeing787", "C919",
)  # fmt: skip
_CARGO = ("dry cargo ship", "liquid cargo ship", "passenger ship", "warship", "engineering ship")
_BOATS = ("motorboat", "fishing boat", "tugboat")
_CARS = ("small vehicle", "large vehicle", "vehicle", "bus", "van", "cargo truck", "trailer", "truck tractor")
_FIELDS = ("soccer ball field", "basketball court", "tennis court", "stadium", "golf field")
_OPEN_LAND = ("bare land", "grass", "tree", "agriculture land", "forest land", "barren land", "rangeland")

SCENES: dict[str, tuple[Scene, ...]] = {
    **dict.fromkeys(_PLANES, (airport.apron,)),
    "airport": (airport.airfield,),
    "helipad": (airport.heliport,),
    "helicopter": (airport.heliport,),
    "ship": (port.piers, port.fairway, port.quay, port.marina),
    **dict.fromkeys(_CARGO, (port.quay, port.piers, port.fairway)),
    **dict.fromkeys(_BOATS, (port.piers, port.fairway)),
    "motorboat": (port.marina, port.fairway),
    "harbor": (port.piers, port.marina),
    "container crane": (port.quay,),
    "storage tank": (industry.tank_farm,),
    "chimney": (industry.works,),
    **dict.fromkeys(_FIELDS, (sports.grounds,)),
    "baseball diamond": (sports.diamonds,),
    "ground track field": (sports.oval,),
    "bridge": (crossing.bridge,),
    "overpass": (crossing.overpass,),
    "dam": (crossing.dam,),
    "expressway toll station": (corridor.toll_station,),
    "expressway service area": (corridor.service_area,),
    "train station": (corridor.train_station,),
    "windmill": (countryside.wind_farm,),
    **dict.fromkeys(_CARS, (town.car_park, town.avenue)),
    **dict.fromkeys(("tractor", "excavator", "dump truck"), (countryside.farmyard,)),
    **dict.fromkeys(("building", "swimming pool", "roundabout", "intersection"), (town.town,)),
    "road": (town.town, town.avenue),
    "water": (port.lakeside, port.riverside, port.coast),
    "pavement": (town.town, countryside.land),
    **dict.fromkeys(("urban land", "developed space"), (countryside.land, town.town)),
    **dict.fromkeys(_OPEN_LAND, (countryside.land,)),
}
"""Name → the scenes that show it; one is drawn by the seed."""

LAND: tuple[Scene, ...] = (countryside.land, town.town)
"""For negatives, and (the first) for a land cover of the user's own."""

OWN: tuple[Scene, ...] = (countryside.meadow,)
"""For a thing of the user's own."""

_DRIVEN_ON = ("road", "pavement", "bare land")

STANDS_ON: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_PLANES, ("pavement", "airport")),
    **dict.fromkeys(port.VESSELS, ("water",)),
    **dict.fromkeys(("harbor", "bridge", "dam"), ("water",)),
    **dict.fromkeys(_CARS, ("road", "pavement")),
    **dict.fromkeys(("excavator", "dump truck"), _DRIVEN_ON),
    "container crane": ("pavement", "water"),
    "tractor": ("agriculture land", "grass"),
    **dict.fromkeys(("overpass", "roundabout", "intersection", "expressway toll station"), ("road",)),
}
"""Ground that a thing needs under it; it is all that a `sparse` picture shows beside the target."""
