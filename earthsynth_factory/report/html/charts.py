"""Charts as inline SVG, drawn here: histograms with thresholds, maps of positions, bars. Colours come from the style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earthsynth_factory.report.html.counts import Grid
from earthsynth_factory.report.html.markup import Html, count, joined, number, tag

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 34, 24
"""Pixels of a histogram at its natural size: the whole, and the margins of its plot."""

LEVELS = 5
"""Shades of a map of positions."""


@dataclass(frozen=True)
class Axis:
    """ticks: (place in 0–1, text). unit: what the numbers are."""

    ticks: Sequence[tuple[float, str]]
    unit: str


@dataclass(frozen=True)
class Mark:
    """A vertical line at `place` in 0–1, with its text."""

    place: float
    text: str


def histogram(series: Sequence[tuple[str, Sequence[int]]], axis: Axis, label: str, mark: Mark | None = None) -> Html:
    """Bars of equal width. series: (style class, counts), stacked on one another from below. label: for screen readers."""
    totals = [sum(column) for column in zip(*(counts for _, counts in series), strict=True)]
    most = max(totals, default=0) or 1
    parts = [_grid(most), _ticks(axis)]
    base = [0] * len(totals)
    for style, counts in series:
        parts.append(tag("path", class_=style, d=_bars(base, counts, most)))
        base = [below + height for below, height in zip(base, counts, strict=True)]
    if mark:
        parts.append(_mark(mark))
    return tag("svg", tag("title", label), *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart")


def heat(grid: Grid, label: str) -> Html:
    """A square map of counts (N, N), rows from the top: the darker the more."""
    side, most = len(grid), max(int(grid.max()), 1)
    shade = np.ceil(grid / most * LEVELS).astype(int)
    paths = [
        tag(
            "path",
            class_=f"shade{level}",
            d="".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(shade == level).tolist()),
        )
        for level in range(1, LEVELS + 1)
        if (shade == level).any()
    ]
    frame = tag("rect", class_="frame", width=side, height=side)
    return tag("svg", tag("title", label), frame, *paths, viewBox=f"0 0 {side} {side}", role="img", class_="heat")


def bar(parts: Sequence[tuple[str, float]], label: str) -> Html:
    """A horizontal bar. parts: (style class, share of the whole), from the left."""
    drawn, start = [], 0.0
    for style, width in parts:
        drawn.append(tag("rect", class_=style, x=100 * start, width=100 * min(width, 1 - start), height=8))
        start = min(1.0, start + width)
    track = tag("rect", class_="track", width=100, height=8)
    return tag(
        "svg", tag("title", label), track, *drawn,
        viewBox="0 0 100 8", preserveAspectRatio="none", role="img", class_="bar",
    )  # fmt: skip


def dot(color: tuple[int, int, int]) -> Html:
    """A class's colour beside its name."""
    square = tag("rect", width=10, height=10, rx=2, fill="#{:02x}{:02x}{:02x}".format(*color))
    return tag("svg", square, viewBox="0 0 10 10", class_="dot", aria_hidden="true")


def linear(low: float, high: float, unit: str) -> Axis:
    """Ticks at round numbers between low and high."""
    step = _round_step((high - low) / 4)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [((index * step - low) / (high - low), number(index * step, 6)) for index in range(first, last + 1)]
    return Axis(ticks, unit)


def octaves(first: int, bins: int, steps: int, unit: str) -> Axis:
    """Ticks at powers of two: `bins` bins, `steps` of them an octave, from 2^first on; every other one if many."""
    every = 1 if bins / steps <= 7 else 2
    powers = range(first, first + bins // steps + 1, every)
    return Axis([((power - first) * steps / bins, f"{2.0**power:.6g}") for power in powers], unit)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return min((factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999), default=10 * power)


def _x(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _y(part: float) -> float:
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _bars(base: Sequence[int], counts: Sequence[int], most: int) -> str:
    """An SVG path: a rectangle for every count that is not 0, a hairline apart from its neighbours."""
    wide = 1 / len(counts)
    gap = min(1.0, (_x(wide) - _x(0)) / 6)
    found = []
    for place, (below, height) in enumerate(zip(base, counts, strict=True)):
        if height:
            left, right = _x(place * wide) + gap / 2, _x((place + 1) * wide) - gap / 2
            low, high = _y(below / most), _y((below + height) / most)
            # What is there at all is to be seen: at least one pixel.
            found.append(f"M{left:.1f} {low:.1f}V{min(high, low - 1):.1f}H{right:.1f}V{low:.1f}z")
    return "".join(found)


def _grid(most: int) -> Html:
    lines = []
    for part, text in ((0.0, ""), (0.5, count(most // 2) if most % 2 == 0 else ""), (1.0, count(most))):
        height = round(_y(part), 1)
        lines.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=height, y2=height))
        if text:
            lines.append(tag("text", text, x=LEFT - 5, y=height + 4, text_anchor="end"))
    return joined(lines)


def _ticks(axis: Axis) -> Html:
    texts = []
    for place, text in axis.ticks:
        anchor = "end" if place > 0.97 else "middle"
        texts.append(tag("text", text, x=round(_x(place), 1), y=HEIGHT - BOTTOM + 14, text_anchor=anchor))
    unit = tag("text", axis.unit, class_="unit", x=LEFT, y=11)
    return joined([*texts, unit])


def _mark(mark: Mark) -> Html:
    place = round(_x(mark.place), 1)
    line = tag("line", class_="mark", x1=place, x2=place, y1=TOP - 8, y2=HEIGHT - BOTTOM)
    side, anchor = (4, "start") if mark.place < 0.6 else (-4, "end")
    text = tag("text", mark.text, class_="marktext", x=place + side, y=TOP - 8, text_anchor=anchor)
    return joined([line, text])
