"""Counts: what was asked for, what there is, what is missing, how much of what was made passed."""

from __future__ import annotations

from collections.abc import Iterator

from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.report.html.charts import bar
from earthsynth_factory.report.html.counts import Tally
from earthsynth_factory.report.html.markup import Html, count, counted, joined, plain, share, table, tag
from earthsynth_factory.report.html.model import ALL, NOTHING, Subject
from earthsynth_factory.report.html.sections.base import Section, heading, named, note

MADE = (Outcome.KEPT, Outcome.SPARE, Outcome.REJECTED)
PASSED = (Outcome.KEPT, Outcome.SPARE)


def overview(subject: Subject, tally: Tally) -> Section:
    """The first tab."""
    parts = [_figures(subject, tally), *_doubts(subject), *_shortfalls(subject, tally), heading("By class")]
    parts += [_asked(subject, tally) if subject.asked else _found(subject, tally), *_notes(subject, tally)]
    return Section("overview", "Overview", joined(parts), ("class",))


def _figures(subject: Subject, tally: Tally) -> Html:
    """The numbers that one wants first."""
    asked, kept = sum(subject.asked.values()), tally.outcomes[Outcome.KEPT]
    made, passed = (sum(tally.outcomes[outcome] for outcome in which) for which in (MADE, PASSED))
    judged = bool(subject.asked or tally.rules) or made > kept
    cards = [_figure(count(kept), f"of {count(asked or made)} images kept" if judged else "images")]
    if subject.asked:
        cards.append(_figure(count(made), "images made"))
    if judged:
        cards.append(_figure(share(passed, made), "passed the filter"))
    classes = {class_id for class_id, _ in subject.asked} or set(tally.classes)
    cards.append(_figure(count(len(classes - {NOTHING})), "classes"))
    if "objects" not in subject.absent:
        cards.append(_figure(count(tally.objects[ALL].count), "objects"))
    return tag("ul", *cards, class_="figures")


def _figure(number: str, words: str) -> Html:
    return tag("li", tag("strong", number), tag("span", words))


def _doubts(subject: Subject) -> Iterator[Html]:
    if subject.doubts:
        items = (tag("li", note(plain(doubt, 600))) for doubt in subject.doubts)
        yield tag("div", tag("p", tag("strong", "Look at this first")), tag("ul", *items), class_="missing")


def _shortfalls(subject: Subject, tally: Tally) -> Iterator[Html]:
    """Class and split that lack images, by name."""
    lacking = []
    for (class_id, split), asked in subject.asked.items():
        missing = asked - tally.images[class_id, split, Outcome.KEPT]
        if missing > 0:
            lacking.append((class_id, split, missing))
    if not lacking:
        return
    total = sum(missing for _, _, missing in lacking)
    items = [
        tag("li", named(subject, class_id), f" ({split}): {count(missing)}", data_class=class_id)
        for class_id, split, missing in lacking
    ]
    words = "not made yet or given up" if subject.state else "given up after the recipe's attempts"
    text = tag("p", tag("strong", f"{counted(total, 'image')} missing"), f", {words}:")
    yield tag("div", text, tag("ul", *items), class_="missing")


def _asked(subject: Subject, tally: Tally) -> Html:
    """The table of a build, classes in the order they were asked for."""
    order = list(dict.fromkeys(class_id for class_id, _ in subject.asked))
    made = ["images made", "passed the filter", "without condition"]
    head = ["class", "kept", "missing", *subject.splits, *made, "objects"]
    return table(head, (_asked_row(subject, tally, class_id) for class_id in order), "Images by class")


def _asked_row(subject: Subject, tally: Tally, class_id: int) -> Html:
    by_split = [
        (tally.images[class_id, split, Outcome.KEPT], subject.asked.get((class_id, split), 0))
        for split in subject.splits
    ]
    kept, asked = (sum(numbers) for numbers in zip(*by_split, strict=True))
    missing = asked - kept
    cells = [
        tag("th", named(subject, class_id), scope="row"),
        _number(f"{count(kept)} / {count(asked)}"),
        tag("td", count(missing) if missing > 0 else "–", class_="number bad" if missing > 0 else "number"),
        *(_number(f"{count(some)} / {count(all_)}" if some or all_ else "–") for some, all_ in by_split),
        _number(count(tally.made(class_id, *MADE))),
        _rate(tally, class_id),
        _number(count(tally.made(class_id, Outcome.UNDRAWN))),
        _number(_objects(subject, tally, class_id)),
    ]
    return tag("tr", *cells, data_class=class_id)


def _rate(tally: Tally, class_id: int) -> Html:
    """The share of the class's images that passed, as a bar and in words."""
    made, passed = tally.made(class_id, *MADE), tally.made(class_id, *PASSED)
    parts = [(str(outcome), tally.made(class_id, outcome) / made if made else 0.0) for outcome in MADE]
    words = ", ".join(f"{count(tally.made(class_id, outcome))} {outcome}" for outcome in MADE)
    return tag("td", bar(parts, words), tag("span", share(passed, made)), class_="number rate")


def _found(subject: Subject, tally: Tally) -> Html:
    """The table if nobody asked for counts: images of each class, and how many of them a filter kept."""
    judged, sized = tally.outcomes[Outcome.REJECTED] > 0, "objects" not in subject.absent
    rows = [
        tag(
            "tr",
            tag("th", named(subject, class_id), scope="row"),
            *((_number(count(tally.made(class_id, *MADE))), _rate(tally, class_id)) if judged else ()),
            *(_number(count(tally.images[class_id, split, Outcome.KEPT])) for split in subject.splits),
            *((_number(_objects(subject, tally, class_id)),) if sized else ()),
            data_class=class_id,
        )
        for class_id in tally.classes
    ]
    head = [*(("images", "kept") if judged else ()), *(f"images, {split}" for split in subject.splits)]
    return table(["class", *head, *(["objects"] if sized else [])], rows, "Images by class")


def _objects(subject: Subject, tally: Tally, class_id: int) -> str:
    if class_id not in subject.taxonomy or not subject.taxonomy[class_id].thing:
        return "–"
    return count(tally.objects[class_id].count) if class_id in tally.objects else "0"


def _number(text: str) -> Html:
    return tag("td", text, class_="number")


def _notes(subject: Subject, tally: Tally) -> Iterator[Html]:
    if tally.rules or tally.why:
        yield legend()
    if subject.asked:
        yield note(
            "An image counts for the class it was made for; objects count wherever they are. Land cover has no objects to "
            "count. “Without condition”: attempts for which no mask could be drawn, so no image was made."
        )
    else:
        words = "" if "objects" in subject.absent else " Land cover has no objects to count."
        yield note(f"An image counts for every class that it is listed under.{words}")
    yield from map(note, subject.absent.values())


def legend() -> Html:
    """What the colours of outcomes mean."""
    meanings = {
        Outcome.KEPT: "kept",
        Outcome.SPARE: "passed, but another image of the same mask was better",
        Outcome.REJECTED: "rejected",
    }
    keys = (tag("span", tag("i", class_=f"key {outcome}"), text) for outcome, text in meanings.items())
    return tag("p", *keys, class_="legend")
