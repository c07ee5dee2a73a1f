"""How large objects are and where they lie, for all classes together and for each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from earthsynth_factory.report.html import charts
from earthsynth_factory.report.html.counts import LOWEST, STEPS, Grid, Shapes, Tally
from earthsynth_factory.report.html.markup import Html, counted, joined, tag
from earthsynth_factory.report.html.model import ALL, Subject
from earthsynth_factory.report.html.sections.base import Section, named, note

CLASSES = 100
"""Classes with charts of their own; of more, those with the most objects."""


def objects(subject: Subject, tally: Tally) -> Section | None:
    """The tab; of land cover alone it says why there is nothing to draw. None if objects are not known."""
    if "objects" in subject.absent:
        return None
    if not tally.objects[ALL].count:
        text = "No objects: the masks hold land cover alone, or nothing."
        return Section("objects", "Objects", note(text))
    ranked = sorted((one for one in tally.objects if one != ALL), key=lambda one: (-tally.objects[one].count, one))
    sets = [_set(subject, class_id, tally.objects[class_id]) for class_id in (ALL, *ranked[:CLASSES])]
    words = "Size is the square root of an object's area. Position is the centre of its box, in the frame of its image."
    if len(ranked) > CLASSES:
        words += f" {len(ranked) - CLASSES} classes with fewer objects are in “all classes” alone."
    nothing = tag("p", "No objects of this class.", class_="note none", hidden=True)
    return Section("objects", "Objects", joined([*sets, nothing, note(words)]), ("class",))


def _set(subject: Subject, class_id: int, shapes: Shapes) -> Html:
    title = tag("span", "All classes") if class_id == ALL else named(subject, class_id)
    figures = list(_figures(shapes))
    return tag(
        "div",
        tag("h2", title, tag("small", f" {counted(shapes.count, 'object')}")),
        tag("div", *figures, class_="charts"),
        class_="choice",
        data_class="all" if class_id == ALL else class_id,
        hidden=class_id != ALL,
    )


def _figures(shapes: Shapes) -> Iterator[Html]:
    for bins, unit in ((shapes.pixels, "pixels"), (shapes.metres, "metres")):
        if bins.any():
            yield tag("figure", _sizes(bins, unit), tag("figcaption", f"Size, {unit}"))
    if not shapes.metres.any():
        yield tag("figure", note("No size in metres: the images' metres per pixel are not known."))
    label = f"Positions of {counted(shapes.count, 'object')}"
    yield tag("figure", charts.heat(shapes.places, label), tag("figcaption", "Position: the darker the more"))


def _sizes(bins: Grid, unit: str) -> Html:
    used = np.flatnonzero(bins)
    # Whole octaves, so that ticks stand at powers of two.
    first, last = int(used[0]) // STEPS * STEPS, -(-(int(used[-1]) + 1) // STEPS) * STEPS
    power = LOWEST + first // STEPS
    axis = charts.octaves(power, last - first, STEPS, f"objects by size in {unit}")
    low, high = 2.0 ** (LOWEST + used[0] / STEPS), 2.0 ** (LOWEST + (used[-1] + 1) / STEPS)
    label = f"Histogram of {int(bins.sum())} sizes, from {low:.3g} to {high:.3g} {unit}"
    return charts.histogram([("kept", bins[first:last].tolist())], axis, label)
