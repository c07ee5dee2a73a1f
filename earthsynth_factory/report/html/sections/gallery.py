"""Pictures of what was kept and what was not; a click shows all that is known of one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count as counter
from typing import Any

from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.errors import SourceError
from earthsynth_factory.report.html.counts import Tally, shown_rule
from earthsynth_factory.report.html.markup import Html, count, counted, joined, number, plain, tag
from earthsynth_factory.report.html.model import ReportImage, Subject
from earthsynth_factory.report.html.sections.base import Section, note
from earthsynth_factory.report.html.thumbnails import Thumbnail, thumbnail

BUDGET = {Outcome.KEPT: 3_000_000, Outcome.REJECTED: 2_000_000}
"""Characters that the pictures of a outcome may take in the page."""

MOST = 160
"""Pictures of a outcome."""

CLASSES_NAMED = 24
"""Classes that a picture is listed under, for the filter."""


@dataclass
class Wall:
    """Pictures on the page: what a click on each shows, and which (class, reason) pairs are among them."""

    subject: Subject
    data: dict[str, Any] = field(default_factory=dict)
    pairs: set[tuple[int, str]] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    unkept: int = 0
    used: int = 0
    _ids: Iterator[int] = field(default_factory=counter)

    def card(self, entry: ReportImage) -> Html:
        """A picture as a button, or its reason if the image was not kept or cannot be read."""
        shown = self._thumbnail(entry)
        self.used += shown.bytes if shown else 0
        key = f"p{next(self._ids)}"
        self.data[key] = details(self.subject, entry)
        whys = sorted({shown_rule(reason) for reason in entry.reasons})
        self.pairs.update((group, why) for group in entry.groups for why in whys)
        title = ", ".join(self.subject.class_name(group) for group in entry.groups[:3])
        title += ", …" if len(entry.groups) > 3 else ""
        words = [tag("span", plain(title, 60), class_="what"), tag("span", plain(entry.name, 40), class_="name")]
        if entry.reasons:
            words.append(tag("span", plain("; ".join(map(str, entry.reasons)), 120), class_="why"))
        return tag(
            "li",
            tag(
                "button", _picture(shown, title), *words,
                type="button", class_="card", data_id=key, data_class=" ".join(map(str, entry.groups[:CLASSES_NAMED])),
                data_split=entry.split, data_verdict=str(entry.outcome), data_why="|".join(whys),
            ),
        )  # fmt: skip

    def _thumbnail(self, entry: ReportImage) -> Thumbnail | None:
        if entry.pixels is None:
            self.unkept += 1
            return None
        try:
            return thumbnail(entry.pixels(), self.subject.taxonomy)
        except SourceError:
            self.unreadable.append(entry.name)
            return None


def gallery(tally: Tally, wall: Wall) -> Section:
    """The tab of pictures."""
    parts: list[Html] = [_toggle()]
    for outcome, title in ((Outcome.KEPT, "Kept"), (Outcome.REJECTED, "Not kept")):
        if tally.outcomes[outcome]:
            parts.append(_group(tally, wall, outcome, title))
    if wall.unkept and wall.subject.asked:
        parts.append(note("Images that were not kept are not on the disk; `build --keep-rejects` keeps them."))
    if wall.unreadable:
        names = ", ".join(plain(name, 40) for name in wall.unreadable[:5])
        parts.append(note(f"{counted(len(wall.unreadable), 'image')} cannot be read: {names}"))
    parts.append(tag("p", "No picture here fits the filters.", class_="note none", hidden=True))
    return Section("pictures", "Pictures", joined(parts), ("class", "split", "verdict", "why"), wall.data)


def choose_shown(tally: Tally, outcome: Outcome) -> Iterator[ReportImage]:
    """Entries of a outcome, each once: class by class in turn, so that every class is seen, at random within it."""
    waiting = [tally.galleries[one, outcome].items() for one in tally.classes if (one, outcome) in tally.galleries]
    seen: set[str] = set()
    for turn in range(max(map(len, waiting), default=0)):
        for items in waiting:
            if turn < len(items) and items[turn].key not in seen:
                seen.add(items[turn].key)
                yield items[turn]


def details(subject: Subject, entry: ReportImage) -> dict[str, Any]:
    """What a click shows, as plain JSON: no markup in it."""
    scores = [
        [
            plain(rule, 60),
            number(value) if isinstance(value, int | float) else "–",
            *_held(subject, entry, rule, value),
        ]
        for rule, value in sorted(entry.scores.items())
    ]
    return {
        "title": plain(", ".join(subject.class_name(group) for group in entry.groups), 200),
        "verdict": str(entry.outcome),
        "reasons": [plain(str(reason), 300) for reason in entry.reasons[:12]],
        "scores": scores,
        "facts": [[name, plain(text, 600)] for name, text in _facts(entry) if text],
        "command": _command(subject, entry),
    }


def _held(subject: Subject, entry: ReportImage, rule: str, value: object) -> list[str]:
    """The threshold, and whether the score reaches it."""
    facts = subject.rules.get(rule)
    least = facts.of(entry.groups[0]) if facts and entry.groups else None
    if least is None or not isinstance(value, int | float):
        return ["", ""]
    return [number(least), "yes" if value >= least else "no"]


def _facts(entry: ReportImage) -> list[tuple[str, str]]:
    origin = entry.origin
    detail = ", ".join(f"{key} {value}" for key, value in origin.detail.items()) if origin else ""
    return [
        ("name", entry.name),
        ("split", entry.split),
        ("prompt", entry.prompt or ""),
        ("size", f"{entry.size[0]} × {entry.size[1]} pixels" if entry.size else ""),
        ("scale", f"{entry.metres_per_pixel:.3g} metres per pixel" if entry.metres_per_pixel else ""),
        ("condition from", origin.source if origin else ""),
        ("group", origin.group if origin else ""),
        ("detail", detail),
        ("attempt", "" if entry.attempt is None else str(entry.attempt)),
        # As text: a 63-bit seed is no number that a browser could hold.
        ("condition seed", "" if entry.condition_seed is None else str(entry.condition_seed)),
        ("image seed", "" if entry.image_seed is None else str(entry.image_seed)),
    ]


def _command(subject: Subject, entry: ReportImage) -> str:
    if not subject.command or entry.attempt is None:
        return ""
    return subject.command.format(name=shlex.quote(entry.name), attempt=int(entry.attempt))


def _group(tally: Tally, wall: Wall, outcome: Outcome, title: str) -> Html:
    cards: list[Html] = []
    before = wall.used
    for entry in choose_shown(tally, outcome):
        if len(cards) == MOST or wall.used - before >= BUDGET[outcome]:
            break
        cards.append(wall.card(entry))
    total = tally.outcomes[outcome]
    return tag(
        "div",
        tag("h2", title, tag("small", f" {count(len(cards))} of {count(total)}, drawn at random from every class")),
        tag("ul", *cards, class_="wall"),
        class_="group",
        data_verdict=str(outcome),
    )


def _toggle() -> Html:
    box = tag("input", type="checkbox", id="labels")  # pictures first: under a colour any smear looks like its label
    return tag("p", tag("label", box, " masks over the pictures"), class_="toggle")


def _picture(shown: Thumbnail | None, title: str) -> Html:
    if shown is None:
        return tag("span", tag("span", "image not kept"), class_="picture absent")
    layers = [tag("img", src=shown.image, alt=plain(title, 100), width=shown.size[0], height=shown.size[1])]
    if shown.labels:
        layers.append(tag("img", src=shown.labels, alt="", class_="layer", width=shown.size[0], height=shown.size[1]))
    return tag("span", *layers, class_="picture")
