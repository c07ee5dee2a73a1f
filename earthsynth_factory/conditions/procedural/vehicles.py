"""Silhouettes of road vehicles and machines, each filling a box of the length and width given (metres)."""

from __future__ import annotations

from earthsynth_factory.conditions.procedural.shapes import Pose, Silhouette, mirrored, rectangle, rounded


def car(length: float, width: float) -> Silhouette:
    """Round at the corners, a little narrower ahead."""
    half, side = length / 2, width / 2
    return mirrored(
        (half, side * 0.6), (half * 0.86, side * 0.93), (-half * 0.8, side), (-half, side * 0.78)
    ).fitted(length, width)  # fmt: skip


def box(length: float, width: float) -> Silhouette:
    """Buses and vans."""
    return rounded(length, width, width * 0.18)


def trailer(length: float, width: float) -> Silhouette:
    """A plain loading bed with the drawbar ahead."""
    bed = rectangle(length * 0.92, width, -length * 0.04)
    return (bed | rectangle(length * 0.1, width * 0.25, length * 0.45)).fitted(length, width)


def lorry(length: float, width: float) -> Silhouette:
    """A cab, a narrow neck and the load behind it."""
    cab = rounded(length * 0.2, width * 0.96, width * 0.15).at(Pose(length * 0.4, 0))
    neck = rectangle(length * 0.1, width * 0.5, length * 0.28)
    bed = rectangle(length * 0.74, width, -length * 0.13)
    return (cab | neck | bed).fitted(length, width)


def truck_tractor(length: float, width: float) -> Silhouette:
    """A cab with the bare frame and twin wheels behind it."""
    cab = rectangle(length * 0.42, width, length * 0.29)
    frame = rectangle(length * 0.6, width * 0.42, -length * 0.2)
    return (cab | frame | rectangle(length * 0.24, width * 0.96, -length * 0.36)).fitted(length, width)


def tractor(length: float, width: float) -> Silhouette:
    """A slim bonnet, small front wheels, big rear wheels."""
    body = rectangle(length * 0.9, width * 0.4)
    front = rectangle(length * 0.18, width * 0.72, length * 0.3)
    rear = rectangle(length * 0.36, width, -length * 0.28)
    return (body | front | rear).fitted(length, width)


def excavator(length: float, width: float) -> Silhouette:
    """Two tracks, the turning house, the boom and its bucket."""
    tracks = rectangle(length * 0.42, width * 0.24, -length * 0.25, width * 0.38)
    tracks |= rectangle(length * 0.42, width * 0.24, -length * 0.25, -width * 0.38)
    house = rectangle(length * 0.38, width * 0.85, -length * 0.31)
    boom = rectangle(length * 0.55, width * 0.2, length * 0.15)
    return (tracks | house | boom | rectangle(length * 0.09, width * 0.42, length * 0.455)).fitted(length, width)
