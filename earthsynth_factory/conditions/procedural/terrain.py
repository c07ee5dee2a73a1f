"""Ground: woods and lakes from smooth noise, parcels, shores, rivers, trees. Distances are metres."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.procedural.canvas import Bools
from earthsynth_factory.conditions.procedural.drawing import Drawing
from earthsynth_factory.conditions.procedural.shapes import (
    Points,
    Pose,
    Silhouette,
    blob,
    ellipse,
    rectangle,
    strip,
)

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in a frame."""

_ROUND = ellipse(2, 2, corners=12).parts[0]


def terrain_noise(drawing: Drawing, feature: float) -> npt.NDArray[np.float32]:
    """(H, W) smooth random field; hills and hollows are about `feature` metres across."""
    height, width = drawing.board.codes.shape
    cell = max(feature / drawing.board.metres_per_pixel, 2.0)
    step = 4 if cell > 16 else 1  # wide hills need no cubic interpolation at every pixel
    rows, columns = math.ceil(height / step), math.ceil(width / step)
    coarse = drawing.rng.standard_normal((int(height / cell) + 5, int(width / cell) + 5)).astype(np.float32)
    top, left = drawing.rng.uniform(1, 2, 2)
    into = np.array([[step / cell, 0, left], [0, step / cell, top]])
    field = cv2.warpAffine(coarse, into, (columns, rows), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR) if step > 1 else field)


def patches(drawing: Drawing, share: float, feature: float, ragged: float = 0.25) -> Bools:
    """(H, W) True on about `share` of the picture, in patches of this size whose edges are a little ragged."""
    field = terrain_noise(drawing, feature) + ragged * terrain_noise(drawing, feature / 5)
    return np.asarray(field > _quantile(field[::8, ::8], 1 - share))


def _quantile(values: npt.NDArray[np.float32], share: float) -> np.float32:
    """As `np.quantile`, which takes ten times as long of few values."""
    ordered = np.sort(values, axis=None)
    place = (len(ordered) - 1) * share
    below = int(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    part = np.float32(place - below)
    return np.float32(
        low + (high - low) * part if part < 0.5 else high - (high - low) * np.float32(1 - (place - below))
    )


def wood(drawing: Drawing, name: str, share: float, feature: float) -> None:
    """Patches of this ground."""
    drawing.board.paint_where(drawing.code(name), patches(drawing, share, feature))


def mottled(drawing: Drawing, base: str, *others: tuple[str, float], feature: float = 40.0) -> None:
    """Open land: `base` everywhere, then patches of (name, share) on it."""
    drawing.flood(base)
    for name, share in others:
        wood(drawing, name, share, feature)


def split_box(drawing: Drawing, box: Box, size: float) -> Iterator[Box]:
    """Cut a box across its longer side until its parts are about `size` long."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    if max(wide, high) < size * 1.3:
        yield box
        return
    share = float(drawing.rng.uniform(0.35, 0.65))
    if wide > high:
        middle = left + share * wide
        halves = ((left, top, middle, bottom), (middle, top, right, bottom))
    else:
        middle = top + share * high
        halves = ((left, top, right, middle), (left, middle, right, bottom))
    for half in halves:
        yield from split_box(drawing, half, size)


def parcels(drawing: Drawing, size: float, frame: Pose | None = None) -> list[Silhouette]:
    """Fields about `size` metres long that tile the picture, a path's width apart, slightly out of square."""
    frame = frame or drawing.frame
    reach = drawing.reach * 1.3
    skew = np.array([[1.0, float(drawing.rng.uniform(-0.25, 0.25))], [0.0, 1.0]])
    fields = (_field(box, 1.2) for box in split_box(drawing, (-reach, -reach, reach, reach), size))
    return [Silhouette((field.parts[0] @ skew,)).at(frame) for field in fields]


def _field(box: Box, edge: float) -> Silhouette:
    left, top, right, bottom = box
    return rectangle(right - left - edge, bottom - top - edge, (left + right) / 2, (top + bottom) / 2)


def quilt(drawing: Drawing, names: Sequence[str], weights: Sequence[float], size: float, seam: str) -> None:
    """Parcels, each of one of these grounds, with `seam` between them."""
    drawing.flood(seam)
    share = np.array(weights) / sum(weights)
    for field in parcels(drawing, size):
        drawing.paint(str(drawing.rng.choice(names, p=share)), field)


def winding(drawing: Drawing, frame: Pose, bend: float, length: float) -> Points:
    """A centre line (N, 2) along the frame's x axis that swings by `bend` metres, but not at the origin."""
    along = np.linspace(-2 * drawing.reach, 2 * drawing.reach, 60)
    calm = 1 - np.exp(-((along / length) ** 2))
    swing = np.sin(along / length + float(drawing.rng.uniform(0, 6))) * bend * calm
    return Silhouette((np.stack([along, swing], axis=1),)).at(frame).parts[0]


def river(drawing: Drawing, frame: Pose, width: float, bend: float | None = None) -> None:
    """Water along the frame's x axis, with a grown bank on both sides."""
    line = winding(drawing, frame, width * 0.6 if bend is None else bend, max(width * 2.5, 30.0))
    drawing.paint("grass", strip(line, width * 1.25 + 6))
    drawing.paint("water", strip(line, width))


def shore(drawing: Drawing, frame: Pose, land: str, wild: float = 0.0, phases: Sequence[float] = ()) -> None:
    """Land on the frame's +y side of the x axis; a quay, or a coast that wanders by `wild` metres."""
    along = np.linspace(-3 * drawing.reach, 3 * drawing.reach, 90)
    edge = np.zeros_like(along)
    for octave, phase in enumerate(phases, start=1):
        edge += wild / octave * np.sin(along * octave * 1.7 / max(drawing.reach * 0.5, 1) + phase)
    coast = np.stack([along, edge], axis=1)
    far = np.array([[3 * drawing.reach, 4 * drawing.reach], [-3 * drawing.reach, 4 * drawing.reach]])
    drawing.paint(land, Silhouette((np.concatenate([coast, far]),)), frame)


def lake(drawing: Drawing, frame: Pose, length: float) -> None:
    """Standing water with a grown bank."""
    shape = blob(drawing.rng, length, length * float(drawing.rng.uniform(0.5, 0.9)), 0.35)
    drawing.paint("grass", shape.scaled(1.08, 1.1), frame)
    drawing.paint("water", shape, frame)


def crown(drawing: Drawing, at: Pose, diameter: float) -> None:
    """One tree; its crown hangs over what stands beside it."""
    radius = diameter / 2 * drawing.rng.uniform(0.88, 1.06, (len(_ROUND), 1))
    drawing.board.shade(drawing.code("tree"), Silhouette((_ROUND * radius + (at.x, at.y),)))


def trees(drawing: Drawing, places: list[Pose], share: float) -> None:
    """Trees 5 to 10 m wide at a share of the places (times the density); they grow beside things, water and roads."""
    if not drawing.shows("tree"):
        return
    for place in places:
        if (
            drawing.extent.contains(place)
            and drawing.rng.random() < share * drawing.knobs.density
            and drawing.plantable(place)
        ):
            crown(drawing, place, float(drawing.rng.uniform(5, 10)))


def strewn(drawing: Drawing, count: float) -> list[Pose]:
    """Random places, about `count` a hectare, at most 200."""
    number = min(200, round(count * drawing.extent.across * drawing.extent.down / 10_000))
    return [drawing.anywhere() for _ in range(number)]
