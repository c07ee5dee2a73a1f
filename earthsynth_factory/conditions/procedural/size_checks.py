"""How large a thing may be to be recognised and still find room; a want that no size can meet is refused."""

from __future__ import annotations

import math

from earthsynth_factory.conditions.procedural.canvas import MIN_PIXELS, area
from earthsynth_factory.conditions.procedural.extent import Extent
from earthsynth_factory.conditions.procedural.shapes import Silhouette
from earthsynth_factory.conditions.procedural.sizes import Size
from earthsynth_factory.errors import NoCondition

_LEGIBLE = 10
"""Pixels along an object that its silhouette needs to be recognised; sizes are chosen above it if they can be."""


def fitting(size: Size, extent: Extent, metres_per_pixel: float, number: int) -> tuple[float, float]:
    """Least and greatest length (metres) that is legible and leaves room for `number` of them, if any does."""
    low, high = size.length
    room = 0.65 * math.sqrt(extent.across * extent.down / number) / max(1.0, size.ratio[1])
    low, high = max(low, min(high, _LEGIBLE * metres_per_pixel)), min(high, max(low, room))
    return min(low, high), high


def refuse_tiny(name: str, size: Size, metres_per_pixel: float) -> None:
    """Raises NoCondition if even the largest is no more than a few pixels."""
    length = size.length[1]
    if length * length * size.ratio[1] / metres_per_pixel**2 < MIN_PIXELS:
        metres = size.typical
        raise NoCondition(
            f"{_named(name)} is {metres:.3g} m, {metres / metres_per_pixel:.1f} px at {metres_per_pixel:g} m per pixel; "
            "use fewer metres per pixel"
        )


def refuse_huge(name: str, figure: Silhouette, length: float, extent: Extent) -> None:
    """Raises NoCondition if of the smallest (`figure`, `length` metres long) more than half would lie outside."""
    left, top, right, bottom = figure.bounds
    if max(right - left, bottom - top) <= min(extent.across, extent.down):
        return  # which spares measuring it
    if area(figure) > 2 * extent.across * extent.down:
        raise NoCondition(
            f"{_named(name)} is {length:.3g} m or longer, and of {extent.across:.3g} m × {extent.down:.3g} m "
            "more than half of it would lie outside; use more metres per pixel or a larger image"
        )


def _named(name: str) -> str:
    """With its article: `an overpass`."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
