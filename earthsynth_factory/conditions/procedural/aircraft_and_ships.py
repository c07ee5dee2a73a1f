"""Silhouettes of aircraft and vessels. Each builder takes a length and a width in metres and fills exactly that box."""

from __future__ import annotations

import math

import numpy as np

from earthsynth_factory.conditions.procedural.shapes import (
    Pose,
    Silhouette,
    ellipse,
    mirrored,
    polygon,
    rectangle,
)


def _wing(root: float, chord: float, sweep: float, span: float, taper: float) -> Silhouette:
    """Both halves of a wing: `root`: where the leading edge starts; `sweep`: how far back the tip lies."""
    half, tip = span / 2, chord * taper
    return mirrored((root, 0), (root - sweep, half), (root - sweep - tip, half), (root - chord, 0))


def airliner(length: float, span: float, engines: tuple[float, ...] = (0.33,), body: float = 0.095) -> Silhouette:
    """Swept wings, tailplane, nacelles ahead of the wing.

    engines: where they hang on each side, as shares of the half span. body: fuselage width as a share of the length.
    """
    half, thick = length / 2, length * body
    nose = mirrored(
        (half, 0), (half * 0.97, thick * 0.2), (half * 0.87, thick * 0.42), (half * 0.78, thick / 2),
        (-half * 0.45, thick / 2), (-half * 0.97, thick * 0.16), (-half, 0),
    )  # fmt: skip
    sweep = span * 0.27
    wings = _wing(length * 0.16, length * 0.21, sweep, span, 0.26)
    tail = _wing(-length * 0.375, length * 0.105, span * 0.36 * 0.3, span * 0.36, 0.42)
    shape = nose | wings | tail
    for share in engines:
        y = share * span / 2
        lead = length * 0.16 - sweep * share
        for side in (-y, y):
            shape |= rectangle(length * 0.085, length * 0.042, lead + length * 0.015, side)
    return shape.fitted(length, span)


def regional_jet(length: float, span: float) -> Silhouette:
    """Engines at the tail and a tailplane on top of the fin (ARJ21)."""
    bare = airliner(length, span, engines=(), body=0.1)
    nacelles = rectangle(length * 0.12, length * 0.05, -length * 0.27, length * 0.085)
    return bare | nacelles | rectangle(length * 0.12, length * 0.05, -length * 0.27, -length * 0.085)


def light_plane(length: float, span: float) -> Silhouette:
    """Straight wings, as of a single-engined sports plane."""
    body = mirrored((length / 2, length * 0.03), (length * 0.3, length * 0.07), (-length / 2, length * 0.025))
    wings = rectangle(length * 0.2, span, length * 0.15)
    return (body | wings | rectangle(length * 0.12, span * 0.34, -length * 0.43)).fitted(length, span)


def helicopter(length: float, width: float) -> Silhouette:
    """Cabin, tail boom, tail rotor and four blades. Blades are at least half a metre wide, so that pixels keep them."""
    cabin = ellipse(length * 0.42, length * 0.19, length * 0.08)
    boom = mirrored((0, length * 0.05), (-length * 0.5, length * 0.02))
    tail = rectangle(length * 0.045, length * 0.2, -length * 0.44)
    blade = max(0.5, length * 0.035)
    shape = cabin | boom | tail
    for quarter in (0.25, 0.75):
        shape |= rectangle(length * 0.95, blade).at(Pose(length * 0.08, 0, math.pi * quarter))
    return shape.fitted(length, width)


def hull(length: float, beam: float, bow: float = 0.25, stern: float = 0.8) -> Silhouette:
    """A vessel from above. bow: share of the length over which it narrows to a point. stern: width of the transom."""
    half, side = length / 2, beam / 2
    run = np.linspace(0, 1, 7)
    entry = [(half - length * bow * float(t), side * float(t) ** 0.62) for t in run]
    return mirrored(*entry, (-half * 0.72, side), (-half, side * stern)).fitted(length, beam)


def cargo_ship(length: float, beam: float) -> Silhouette:
    """Long parallel sides and a bluff bow."""
    return hull(length, beam, bow=0.16, stern=0.85)


def warship(length: float, beam: float) -> Silhouette:
    """A fine, long bow; the widest place lies behind the middle."""
    half, side = length / 2, beam / 2
    return mirrored(
        (half, 0), (half * 0.75, side * 0.32), (half * 0.45, side * 0.66), (half * 0.1, side * 0.94),
        (-half * 0.2, side), (-half * 0.75, side * 0.92), (-half, side * 0.78),
    ).fitted(length, beam)  # fmt: skip


def motorboat(length: float, beam: float) -> Silhouette:
    """A long pointed bow and a flat transom."""
    return hull(length, beam, bow=0.5, stern=0.92)


def tugboat(length: float, beam: float) -> Silhouette:
    """Short and stout, round at both ends."""
    half, side = length / 2, beam / 2
    return mirrored(
        (half, 0), (half * 0.86, side * 0.55), (half * 0.5, side * 0.96), (half * 0.2, side),
        (-half * 0.6, side * 0.95), (-half * 0.92, side * 0.7), (-half, side * 0.35),
    ).fitted(length, beam)  # fmt: skip


def engineering_ship(length: float, beam: float) -> Silhouette:
    """A box-shaped working barge with its crane's jib over the bow."""
    barge = polygon((0.3, -0.5), (0.34, -0.3), (0.34, 0.3), (0.3, 0.5), (-0.5, 0.5), (-0.5, -0.5))
    jib = polygon((0.1, -0.08), (0.5, 0.02), (0.5, 0.1), (0.1, 0.14))
    return (barge | jib).fitted(length, beam)
