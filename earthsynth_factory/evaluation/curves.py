"""Charts of scores: lines with their intervals over real images, shares or doses, and a bar with an interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from earthsynth_factory.report.html.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, linear
from earthsynth_factory.report.html.markup import Html, joined, number, tag

STYLES = ("kept", "rejected", "spare")
REACH = 100
"""Half the width of a bar's scale."""


@dataclass(frozen=True)
class Point:
    """x, y, and the ends of y's interval."""

    x: float
    y: float
    low: float
    high: float


def lines(series: Sequence[tuple[str, Sequence[Point]]], unit_x: str, unit_y: str, label: str) -> Html:
    """A line with points for every series, evenly spaced over the values of x that occur."""
    every = [point for _, points in series for point in points]
    spots = sorted({point.x for point in every})
    low, high = min(point.low for point in every), max(point.high for point in every)
    high = high if high > low else low + 1
    frame = _Frame(spots, low - 0.05 * (high - low), high + 0.05 * (high - low))
    drawn = [joined(frame.series(points, STYLES[place % 3])) for place, (_, points) in enumerate(series)]
    names = joined(_names([name for name, _ in series]))
    titles = (
        tag("text", unit_y, class_="unit", x=LEFT, y=11),
        tag("text", unit_x, x=WIDTH - RIGHT, y=11, text_anchor="end"),
    )
    parts = [tag("title", label), joined(frame.axes()), *drawn, *titles]
    chart = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart")
    return tag("figure", chart, tag("figcaption", names))


def _names(names: Sequence[str]) -> Iterator[Html]:
    for place, name in enumerate(names):
        yield tag("i", class_=f"key {STYLES[place % 3]}")
        yield tag("span", f"{name} ")


class _Frame:
    """Where values lie on the chart."""

    def __init__(self, spots: Sequence[float], low: float, high: float) -> None:
        self._spots, self._low, self._high = list(spots), low, high

    def _x(self, value: float) -> float:
        part = (self._spots.index(value) + 0.5) / len(self._spots)
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)

    def _y(self, value: float) -> float:
        part = (value - self._low) / (self._high - self._low)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM), 1)

    def axes(self) -> Iterator[Html]:
        """Level lines with their numbers, and the values of x."""
        for part, text in linear(self._low, self._high, "").ticks:
            y = self._y(self._low + part * (self._high - self._low))
            yield tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y)
            yield tag("text", text, x=LEFT - 5, y=y + 4, text_anchor="end")
        for spot in self._spots:
            yield tag("text", number(spot), x=self._x(spot), y=HEIGHT - BOTTOM + 14, text_anchor="middle")

    def series(self, points: Sequence[Point], style: str) -> Iterator[Html]:
        """Intervals, then points; lines would say something of what lies between."""
        for point in points:
            x = self._x(point.x)
            yield tag("line", class_="grid", x1=x, x2=x, y1=self._y(point.low), y2=self._y(point.high))
            yield tag("rect", class_=style, x=x - 3, y=self._y(point.y) - 3, width=6, height=6, rx=3)


def gap_bar(mean: float, low: float, high: float, most: float, label: str) -> Html:
    """A difference as a bar from the middle, its interval over it. most: what reaches the end of the scale."""
    scale = REACH / most if most else 0
    left, right = sorted((REACH, REACH + scale * mean))
    ends = [REACH + scale * max(-most, min(most, value)) for value in (low, high)]
    parts = [
        tag("rect", class_="track", width=2 * REACH, height=8),
        tag("rect", class_="kept" if mean > 0 else "rejected", x=left, width=right - left, height=8),
        tag("line", class_="mark", x1=ends[0], x2=ends[1], y1=4, y2=4),
    ]
    box = f"0 0 {2 * REACH} 8"
    return tag("svg", tag("title", label), *parts, viewBox=box, preserveAspectRatio="none", role="img", class_="bar")
