"""Silhouettes of what stands on the ground, each filling a box of the length and width given (metres)."""

from __future__ import annotations

import math

import numpy as np

from earthsynth_factory.conditions.procedural.shapes import (
    Points,
    Pose,
    Silhouette,
    blob,
    ellipse,
    mirrored,
    polygon,
    rectangle,
    ring,
    rounded,
    strip,
)
from earthsynth_factory.domain.seeds import one_of


def footprint(rng: np.random.Generator, length: float, width: float) -> Silhouette:
    """A building: a plain box, an L, a U, a T, or one around a courtyard; wings are 8 to 14 m deep at most."""
    deep = min(float(rng.uniform(0.35, 0.5)) * width, float(rng.uniform(8, 14)))
    plain = rectangle(length, width)
    long_side = rectangle(length, deep, 0, (width - deep) / 2)
    end = rectangle(deep, width, (length - deep) / 2)
    kind = one_of(rng, ["box", "box", "l", "u", "t", "court"] if width > 9 else ["box", "box", "l"])
    if kind == "l":
        return long_side | end
    if kind == "u":
        return long_side | end | rectangle(deep, width, -(length - deep) / 2)
    if kind == "t":
        return long_side | rectangle(deep, width)
    if kind == "court" and width > 2.4 * deep and length > 2.4 * deep:
        return Silhouette(plain.parts, rectangle(length - 2 * deep, width - 2 * deep).parts)
    return plain


def diamond(length: float, width: float) -> Silhouette:
    """A baseball field: a quarter circle whose corner is home plate, at -x, with the backstop's round behind it."""
    arc = np.linspace(-math.pi / 4, math.pi / 4, 24)
    fan = np.stack([np.cos(arc), np.sin(arc)], axis=1)
    back = np.linspace(math.pi * 0.75, math.pi * 1.25, 8)
    plate = np.stack([0.12 + 0.17 * np.cos(back), 0.17 * np.sin(back)], axis=1)
    return Silhouette((np.concatenate([fan, plate]),)).fitted(length, width)


def stadium(length: float, width: float) -> Silhouette:
    """Stands around an open field."""
    stand = rounded(length, width, width * 0.42)
    return Silhouette(stand.parts, rounded(length * 0.6, width * 0.5, width * 0.18).parts)


def track(length: float, width: float) -> Silhouette:
    """A running track with the field inside it."""
    return rounded(length, width, width / 2)


def track_ring(length: float, width: float) -> Silhouette:
    """The running lanes alone: eight of 1.22 m in a 92.5 m wide oval."""
    lanes = width * 2 * 9.76 / 92.5
    return Silhouette(track(length, width).parts, track(length - lanes, width - lanes).parts)


def golf_field(rng: np.random.Generator, length: float, width: float) -> Silhouette:
    """Three fairways side by side, out, back and out, each from a narrow tee to a round green with two bunkers."""
    shape, bunkers, run, before = Silhouette(()), Silhouette(()), np.linspace(0, 1, 16), None
    for row, ahead in zip((-0.33, 0.0, 0.33), (1, -1, 1), strict=True):
        bend = 0.05 * np.sin(run * math.pi * rng.uniform(1, 2) + rng.uniform(0, 6))
        line = np.stack([ahead * (run - 0.5) * rng.uniform(0.85, 1), row + bend], axis=1)
        half = np.stack([np.zeros(16), 0.04 + 0.05 * np.sqrt(np.sin(run * math.pi * rng.uniform(0.7, 0.9)))], axis=1)
        x, y = line[-1].tolist()
        shape |= Silhouette((np.concatenate([line + half, (line - half)[::-1]]),)) | ellipse(0.13, 0.24, x, y)
        bunkers |= ellipse(0.04, 0.07, x - ahead * 0.13, y + 0.03) | ellipse(0.03, 0.06, x - ahead * 0.05, y - 0.07)
        if before is not None:  # the path from the last green
            shape |= strip(np.array([before, line[0]]), 0.05)
        before = line[-1]
    return Silhouette(shape.parts, bunkers.parts).fitted(length, width)


def pool(rng: np.random.Generator, length: float, width: float) -> Silhouette:
    """A rectangle, a kidney or an L; long ones are for sport and always rectangles."""
    kind = "box" if length > 20 else one_of(rng, ["box", "round", "kidney", "l"])
    if kind == "round":
        return rounded(length, width, width * 0.45)
    if kind == "kidney":
        bean = ellipse(0.62, 0.8, -0.2, 0.05) | ellipse(0.55, 0.95, 0.22) | rectangle(0.3, 0.6, 0, 0.12)
        return bean.fitted(length, width)
    if kind == "l":
        return (rectangle(1, 0.5, 0, 0.25) | rectangle(0.45, 1, -0.275)).fitted(length, width)
    return rectangle(length, width)


def roundabout(length: float, width: float) -> Silhouette:
    """The carriageway around the island; two lanes if the circle is large."""
    lane = 8.0 if length > 34 else 6.0
    return ring(length, max(length - 2 * lane, length * 0.3)).fitted(length, width)


def crossing(length: float, width: float) -> Silhouette:
    """Two streets meeting, with the kerbs rounded where they turn."""
    arm = length * 0.42
    kerb = rounded(arm * 1.55, arm * 1.55, arm * 0.35)
    return (rectangle(length, arm) | rectangle(arm, length) | kerb).fitted(length, width)


def chimney(length: float, width: float) -> Silhouette:
    """A tall stack seen from a little aside: the wide foot at -x, the round mouth at +x."""
    half, foot, mouth = length / 2, width / 2, width * 0.34
    stack = mirrored((half - mouth, mouth * 0.85), (-half + foot, foot * 0.92))
    return stack | ellipse(2 * mouth, 2 * mouth, half - mouth) | ellipse(width, width, -half + foot)


def windmill(length: float, width: float) -> Silhouette:
    """Three tapering blades about a hub, and the nacelle behind it."""
    blade = mirrored((0.5, 0.004), (0.3, 0.014), (0.1, 0.028), (0.0, 0.016))
    shape = ellipse(0.07, 0.07) | rectangle(0.05, 0.12, 0, 0.05)
    for third in range(3):
        shape |= blade.at(Pose(0, 0, third * 2 * math.pi / 3))
    return shape.fitted(length, width)


def container_crane(length: float, width: float) -> Silhouette:
    """A ship-to-shore crane: twin booms reaching out to +x, the portal's frame behind."""
    booms = rectangle(1.0, 0.14, 0, 0.12) | rectangle(1.0, 0.14, 0, -0.12)
    ties = rectangle(0.03, 0.3, 0.485) | rectangle(0.03, 0.3, 0.2)
    legs = rectangle(0.07, 1.0, 0.02) | rectangle(0.07, 1.0, -0.3)
    sills = rectangle(0.36, 0.1, -0.14, 0.45) | rectangle(0.36, 0.1, -0.14, -0.45)
    return (booms | ties | legs | sills | rectangle(0.14, 0.5, -0.4)).fitted(length, width)


def dam_shape(length: float, width: float) -> Silhouette:
    """A wall whose crest bows upstream (towards -y), thicker in the middle, with the spillway's apron below."""
    run = np.linspace(-0.5, 0.5, 17)
    up = np.stack([run, -0.5 + 1.1 * run**2], axis=1)
    down = np.stack([run[::-1], 0.14 + 0.44 * run[::-1] ** 2 * 4 * 0.25], axis=1)
    wall: Points = np.concatenate([up, down])
    return (Silhouette((wall,)) | rectangle(0.22, 0.62, 0.06, 0.19)).fitted(length, width)


def train_station_shape(length: float, width: float) -> Silhouette:
    """Long platforms side by side, crossed by the hall."""
    shape = rectangle(0.22, 1.0, -0.1)
    for y in (-0.42, -0.14, 0.14, 0.42):
        shape |= mirrored((0.5, 0.04), (0.42, 0.065), (-0.42, 0.065), (-0.5, 0.04)).at(Pose(0, y))
    return shape.fitted(length, width)


def toll_station_shape(length: float, width: float) -> Silhouette:
    """The roof across the lanes with the booths' islands standing out on both sides; y lies across the road."""
    shape = rectangle(0.4, 1.0)
    for y in np.linspace(-0.44, 0.44, 8):
        shape |= mirrored((0.5, 0.0), (0.44, 0.016), (-0.44, 0.016), (-0.5, 0.0)).at(Pose(0, float(y)))
    return shape.fitted(length, width)


def service_area_shape(length: float, width: float) -> Silhouette:
    """A compound on one side of an expressway (at +y), narrowing to its ramps at both ends."""
    half = ((0.5, 0.5), (0.27, -0.3), (0.2, -0.5))
    return polygon(*half, *((-x, y) for x, y in reversed(half))).fitted(length, width)


def jetty(length: float, width: float) -> Silhouette:
    """A pier from the quay at -x to its head at +x."""
    return (rectangle(1.0, 0.6) | rectangle(0.16, 1.0, 0.42)).fitted(length, width)


def marina_shape(length: float, width: float) -> Silhouette:
    """A floating walkway with fingers on both sides, between which boats lie."""
    shape = rectangle(1.0, min(0.16, 4.0 / width))
    count = max(2, round(length / 9))
    for x in (np.arange(count) + 0.5) / count - 0.5:
        shape |= rectangle(min(1.6, length * 0.05) / length, 1.0, float(x))
    return shape.fitted(length, width)


def plot_shape(rng: np.random.Generator, length: float, width: float) -> Silhouette:
    """A rounded patch with a wandering edge."""
    return blob(rng, length, width, 0.15).fitted(length, width)
