"""What each rule gave: distributions of kept and other images, with the threshold."""

from __future__ import annotations

from earthsynth_factory.report.html import charts
from earthsynth_factory.report.html.counts import Tally
from earthsynth_factory.report.html.markup import Html, counted, joined, number, tag
from earthsynth_factory.report.html.model import ALL, RuleFacts, Subject
from earthsynth_factory.report.html.sections.base import Section, heading, named, note
from earthsynth_factory.report.html.sections.objects import CLASSES
from earthsynth_factory.report.html.sections.overview import MADE, legend
from earthsynth_factory.report.html.sketch import Sketch, common_bins, quantiles

BARS = 32
EDGE = 0.005
"""Share of the numbers at either end that the first and the last bar take in, so that one far number hides no others."""


def scores(subject: Subject, tally: Tally) -> Section | None:
    """The tab; None if nothing was scored."""
    if not tally.rules:
        return None
    scored = {class_id for _, class_id, _ in tally.scores} - {ALL}
    classes = sorted(scored, key=lambda one: (-tally.made(one, *MADE), one))
    sets = [_set(subject, tally, class_id) for class_id in (ALL, *classes[:CLASSES])]
    words = [
        "Higher is better. What lies beyond the ends is counted in the first and the last bar. A rule scores only what the "
        "cheaper rules before it passed."
    ]
    if len(classes) > CLASSES:
        words.append(f"{len(classes) - CLASSES} classes with fewer images are in “all classes” alone.")
    nothing = tag("p", "No scores for this class.", class_="note none", hidden=True)
    return Section("scores", "Scores", joined([legend(), *sets, nothing, note(" ".join(words))]), ("class",))


def _set(subject: Subject, tally: Tally, class_id: int) -> Html:
    title = tag("span", "All classes") if class_id == ALL else named(subject, class_id)
    figures = [_figure(subject, tally, rule, class_id) for rule in tally.rules]
    return tag(
        "div",
        heading(title),
        tag("div", *(figure for figure in figures if figure), class_="charts"),
        class_="choice",
        data_class="all" if class_id == ALL else class_id,
        hidden=class_id != ALL,
    )


def _figure(subject: Subject, tally: Tally, rule: str, class_id: int) -> Html:
    found = [(outcome, tally.scores.get((rule, class_id, outcome), Sketch())) for outcome in MADE]
    used = [sketch for _, sketch in found if sketch.bins]
    if not used:
        return Html("")
    facts = subject.rules.get(rule, RuleFacts({}))
    least = facts.of(class_id)
    low, high = _widened(*quantiles(used, (EDGE, 1 - EDGE)))
    near = least is not None and _near(least, low, high)
    if near and least is not None:
        low, high = min(low, least), max(high, least)
    left, right, counts = common_bins([sketch for _, sketch in found], low, high, BARS)
    mark = (
        charts.Mark((least - left) / (right - left), f"least {number(least)}") if near and least is not None else None
    )
    total = sum(sketch.count for sketch in used)
    label = f"Histogram of {total} scores of {rule}" + (f", least {least:.3g}" if least is not None else "")
    series = [(str(outcome), row) for (outcome, _), row in zip(found, counts, strict=True)]
    drawn = charts.histogram(series, charts.linear(left, right, "images by score"), label, mark)
    return tag("figure", drawn, tag("figcaption", tag("b", rule), *_caption(facts, least, near, total)))


def _caption(facts: RuleFacts, least: float | None, near: bool, total: int) -> list[str]:
    words = [f" · {counted(total, 'image')}"]
    if least is None:
        words.append(" · threshold not known")
    elif not near:
        words.append(f" · least {number(least)}, outside the picture")
    if facts.others:
        words.append(" · also " + ", ".join(f"{name} {value}" for name, value in facts.others.items()))
    return words


def _widened(low: float, high: float) -> tuple[float, float]:
    """Room around scores that are all alike, so that they are a bar and not a wall."""
    room = 0.1 * max(abs(high), 0.1)
    return (low, high) if high - low > room / 100 else (low - room, high + room)


def _near(least: float, low: float, high: float) -> bool:
    """Whether a picture that holds the threshold still shows the scores."""
    room = 1.5 * (high - low)
    return low - room <= least <= high + room
