"""The file itself: template, style, script and sections in one, under a policy that lets nothing in and nothing out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.report.html.counts import Tally
from earthsynth_factory.report.html.markup import Html, escaped, island, joined, plain, tag
from earthsynth_factory.report.html.model import Subject
from earthsynth_factory.report.html.sections.base import Section

CLASSES = 255
"""Classes in the filter: all that a mask can hold."""


def render_page(subject: Subject, tally: Tally, sections: Sequence[Section]) -> bytes:
    """The page as UTF-8."""
    style, script = resource("style.css"), resource("page.js")
    filled = {
        "policy": policy(style, script),
        "title": escaped(plain(subject.name, 120)),
        "style": style,
        "script": script,
        "head": _head(subject),
        "tabs": joined(_tab(section, number) for number, section in enumerate(sections)),
        "filters": _filters(subject, tally),
        "sections": joined(_panel(section) for section in sections),
        "data": island({key: value for section in sections for key, value in section.data.items()}),
    }
    # One pass, so that nothing that is filled in is searched for places to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], resource("page.html")).encode()


def resource(name: str) -> str:
    """The text of a file that lies beside this one."""
    return (files("earthsynth_factory.report.html") / name).read_text(encoding="utf-8").strip()


def policy(style: str, script: str = "") -> Html:
    """Content-Security-Policy: our style and our script by their hashes, pictures that stand in the page, nothing else."""
    marks = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return Html(
        f"default-src 'none'; img-src data:; style-src 'sha256-{marks[0]}'; script-src 'sha256-{marks[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _head(subject: Subject) -> Html:
    parts = [tag("h1", plain(subject.name, 120)), tag("p", subject.lead, class_="lead")]
    if subject.state:
        parts.append(tag("p", subject.state, class_="state"))
    return joined(parts)


def _tab(section: Section, number: int) -> Html:
    return tag(
        "a", section.title,
        href=f"#{section.key}", id=f"tab-{section.key}", role="tab", aria_controls=section.key,
        aria_selected="true" if number == 0 else "false",
    )  # fmt: skip


def _panel(section: Section) -> Html:
    title = tag("h2", section.title, class_="paneltitle")
    return tag(
        "section", title, section.body,
        id=section.key, role="tabpanel", aria_labelledby=f"tab-{section.key}", data_filters=" ".join(section.filters),
    )  # fmt: skip


def _filters(subject: Subject, tally: Tally) -> Html:
    classes = {str(one): plain(subject.class_name(one), 60) for one in tally.classes[:CLASSES]}
    by_name = dict(sorted(classes.items(), key=lambda item: (item[0].startswith("-"), item[1].lower(), item[0])))
    shown = {Outcome.KEPT: "kept", Outcome.REJECTED: "not kept"}
    outcomes = {str(one): text for one, text in shown.items() if tally.outcomes[one]}
    whys = {why: why for why in sorted({why for _, why in tally.why})}
    selects = [
        _select("class", "Class", "all classes", by_name),
        _select("split", "Split", "all splits", {split: split for split in subject.splits}),
        _select("verdict", "Verdict", "all", outcomes),
        _select("why", "Reason", "all", whys),
    ]
    return joined([*selects, tag("output", id="shown", aria_live="polite")])


def _select(key: str, label: str, every: str, options: Mapping[str, str]) -> Html:
    """A choice among values; left out if there is none to make."""
    if len(options) < 2 and key != "class":
        return Html("")
    inner = [tag("option", every, value=""), *(tag("option", text, value=value) for value, text in options.items())]
    return tag("label", tag("span", label), tag("select", *inner, id=f"by-{key}", data_by=key))
