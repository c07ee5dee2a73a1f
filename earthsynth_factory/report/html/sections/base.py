"""What a tab is, and how classes are named in all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from earthsynth_factory.report.html.charts import dot
from earthsynth_factory.report.html.markup import Html, joined, plain, tag
from earthsynth_factory.report.html.model import Subject


@dataclass(frozen=True)
class Section:
    """A tab. key: its id. filters: which of class, split, outcome, why act on it. data: picture id → what a click shows."""

    key: str
    title: str
    body: Html
    filters: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


def named(subject: Subject, class_id: int) -> Html:
    """The class's name with its colour."""
    name = plain(subject.class_name(class_id), 80)
    if class_id in subject.taxonomy:
        return joined([dot(subject.taxonomy[class_id].color), tag("span", name)])
    return joined([tag("span", name)])


def note(text: str) -> Html:
    """A sentence in small print; what stands in `backticks` is code."""
    parts = text.split("`")
    return tag("p", *(tag("code", part) if place % 2 else part for place, part in enumerate(parts)), class_="note")


def heading(text: str, level: int = 2) -> Html:
    """A heading inside a tab."""
    return tag(f"h{level}", text)
