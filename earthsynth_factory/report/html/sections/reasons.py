"""Why images were not kept: a table of class × reason. A number leads to pictures if there are any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from earthsynth_factory.domain.outcome import NO_CONDITION, NOT_BEST
from earthsynth_factory.report.html.counts import Tally
from earthsynth_factory.report.html.markup import Html, count, joined, table, tag
from earthsynth_factory.report.html.model import Subject
from earthsynth_factory.report.html.sections.base import Section, named, note

SHADES = 4


def reasons(subject: Subject, tally: Tally, shown: Collection[tuple[int, str]]) -> Section | None:
    """shown: (class, reason) pairs of which the gallery has a picture."""
    if not tally.why:
        return None
    totals: Counter[str] = Counter()
    for (_, why), number in tally.why.items():
        totals[why] += number
    # What no rule refused comes last and has no part in the shading, which compares rules.
    columns = sorted(totals, key=lambda why: (_aside(why), -totals[why], why))
    classes = [one for one in tally.classes if any(tally.why[one, why] for why in columns)]
    most = max((number for (_, why), number in tally.why.items() if not _aside(why)), default=1)
    rows = [
        tag(
            "tr",
            tag("th", named(subject, class_id), scope="row"),
            *(_cell(tally.why[class_id, why], most, class_id, why, (class_id, why) in shown) for why in columns),
            data_class=class_id,
        )
        for class_id in classes
    ]
    total = tag(
        "tr", tag("th", "all", scope="row"), *(tag("td", count(totals[why]), class_="number") for why in columns)
    )
    body = [
        table(["class", *columns], [*rows, total], "Reasons by class"),
        note("An image that several rules refused counts for each. Cheap rules are asked first, and what one refuses the "
             "dearer ones do not see. Underlined numbers lead to pictures."),
    ]  # fmt: skip
    return Section("reasons", "Reasons", joined(body), ("class",))


def _aside(why: str) -> bool:
    return why in (NOT_BEST, NO_CONDITION)


def _cell(number: int, most: int, class_id: int, why: str, shown: bool) -> Html:
    text: str = count(number) if number else "·"
    if number and shown:
        text = tag("button", text, type="button", class_="go", data_class=class_id, data_why=why)
    shade = "plain" if _aside(why) else f"heat{-(-number * SHADES // most)}"
    return tag("td", text, class_=f"number {shade}")
