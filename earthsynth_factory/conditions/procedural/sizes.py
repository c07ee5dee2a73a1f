"""How long and how wide things truly are.

Figures of aircraft and standard courts are their published dimensions; the others are the usual range of their kind,
from rules of design (lane and berth widths) or common fleets. Ranges say what is drawn,
not what exists at the extremes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """length: longer or forward extent in metres, low and high. ratio: width per length. why: where it comes from."""

    length: tuple[float, float]
    ratio: tuple[float, float]
    why: str

    @property
    def typical(self) -> float:
        """The middle of the range, metres."""
        return (self.length[0] + self.length[1]) / 2


def _exact(length: float, width: float, why: str) -> Size:
    return Size((length, length), (width / length, width / length), why)


SIZES: dict[str, Size] = {
    "building": Size((9, 70), (0.4, 0.9), "house to hall"),
    "swimming pool": Size((7, 25), (0.4, 0.55), "garden pool to 25 m lanes"),
    "storage tank": Size((8, 80), (1, 1), "API 650 diameters"),
    "chimney": Size((25, 60), (0.16, 0.24), "a 5 to 12 m shaft, leaning with the view"),
    "windmill": Size((70, 130), (0.87, 0.87), "rotors of 1.5 to 4 MW; three blades reach 0.87 across"),
    "helipad": Size((15, 30), (1, 1), "ICAO Annex 14: 1.5 to 2 times the helicopter"),
    "harbor": Size((40, 260), (0.12, 0.3), "piers from fishing harbour to cargo berth"),
    "container crane": Size((70, 125), (0.2, 0.26), "ship-to-shore gantries: boom and portal"),
    "bridge": Size((40, 400), (0.05, 0.3), "two to six lanes over a river"),
    "overpass": Size((45, 110), (0.15, 0.4), "over four to eight lanes"),
    "dam": Size((120, 500), (0.12, 0.2), "crest length and foot of middling dams"),
    "soccer ball field": Size((90, 110), (0.62, 0.68), "FIFA: 90-120 by 45-90 m"),
    "basketball court": _exact(28, 15, "FIBA"),
    "tennis court": _exact(23.77, 10.97, "ITF, doubles lines"),
    "ground track field": _exact(176.91, 92.52, "World Athletics 400 m track with eight lanes"),
    "baseball diamond": Size((45, 115), (1, 1.05), "little league to full size, home plate to fence"),
    "stadium": Size((190, 300), (0.75, 0.9), "stands about a football field"),
    "golf field": Size((220, 600), (0.55, 0.85), "a few holes together"),
    "roundabout": Size((26, 60), (1, 1), "outer diameter, one to two lanes"),
    "intersection": Size((24, 44), (1, 1), "two to six lanes meeting, with the stop lines"),
    "expressway service area": Size((160, 320), (0.32, 0.42), "one side, with its ramps"),
    "expressway toll station": Size((22, 32), (2, 3.5), "length along the lanes; eight to sixteen lanes wide"),
    "train station": Size((160, 400), (0.16, 0.26), "platforms of 160 to 400 m, four of them"),
    # Vehicles
    "small vehicle": Size((3.8, 5.2), (0.38, 0.44), "cars"),
    "large vehicle": Size((8, 16.5), (0.17, 0.26), "lorries and buses, 2.55 m wide"),
    "vehicle": Size((3.8, 12), (0.24, 0.42), "cars to lorries"),
    "bus": Size((10, 13.5), (0.19, 0.24), "2.55 m wide"),
    "van": Size((4.8, 6.5), (0.32, 0.38), "delivery vans, 2 m wide"),
    "cargo truck": Size((7, 12), (0.21, 0.34), "rigid lorries, 2.5 m wide"),
    "dump truck": Size((6.5, 9.5), (0.27, 0.36), "2.5 m wide"),
    "excavator": Size((8, 11), (0.29, 0.34), "with the boom stretched out"),
    "tractor": Size((4, 6.5), (0.42, 0.5), "farm tractors"),
    "trailer": Size((10, 13.6), (0.19, 0.25), "semi-trailers, 2.55 m wide"),
    "truck tractor": Size((5.6, 7.5), (0.34, 0.42), "road tractors, 2.5 m wide"),
    # Aircraft: length, and span per length
    "plane": Size((10, 72), (0.85, 1.05), "sports plane to wide body"),
    "helicopter": Size((11, 20), (0.7, 0.8), "over the turning rotor"),
    "A220": Size((35.0, 38.7), (0.91, 0.99), "-100, -300; span 35.1 m"),
    "A321": _exact(44.5, 35.8, "with sharklets"),
    "A330": Size((58.8, 63.7), (0.95, 1.02), "-200, -300; span 60.3 m"),
    "A350": Size((66.8, 73.8), (0.88, 0.97), "-900, -1000; span 64.75 m"),
    "ARJ21": Size((33.5, 36.4), (0.75, 0.815), "-700, -900; span 27.3 m"),
    "Boeing737": Size((33.6, 42.1), (0.85, 1.02), "-700 to -900; span 35.8 m"),
    "Boeing747": Size((70.7, 76.3), (0.9, 0.91), "-400, -8; spans 64.4 and 68.4 m"),
    "Boeing777": Size((63.7, 73.9), (0.88, 0.96), "-200, -300ER; spans 60.9 and 64.8 m"),
    "Boeing787": Size((56.7, 68.3), (0.88, 1.06), "-8 to -10; span 60.1 m"),
    "C919": _exact(38.9, 35.8, "published length and span"),
    # Vessels: length, and beam per length
    "ship": Size((15, 260), (0.15, 0.24), "boats to freighters"),
    "motorboat": Size((6, 16), (0.3, 0.36), "runabouts to motor yachts"),
    "fishing boat": Size((12, 45), (0.24, 0.3), "coastal fleets"),
    "tugboat": Size((22, 36), (0.32, 0.38), "harbour tugs"),
    "engineering ship": Size((40, 110), (0.26, 0.34), "dredgers and crane barges"),
    "passenger ship": Size((60, 310), (0.12, 0.16), "ferries to cruise ships"),
    "dry cargo ship": Size((90, 290), (0.14, 0.17), "coasters to Capesize bulkers"),
    "liquid cargo ship": Size((90, 330), (0.16, 0.18), "coastal tankers to VLCC"),
    "warship": Size((90, 180), (0.1, 0.125), "corvettes to cruisers"),
}

GENERIC = Size((8, 24), (0.5, 0.8), "a user's own thing, where the recipe gives no object_size")
