"""Seeds and settings: how the dataset was made, and the commands that make it, or one image of it, again."""

from __future__ import annotations

from collections.abc import Iterator

from earthsynth_factory.report.html.markup import Html, facts, joined, plain, tag
from earthsynth_factory.report.html.model import Subject
from earthsynth_factory.report.html.sections.base import Section, heading, note

DOCUMENT = 60_000
"""Characters of the resolved recipe that are shown."""

_WHERE = (
    "In the dataset's folder. Where its recipe names files by relative paths, give `remake` the recipe's own folder with "
    "`--base`, and `build` the recipe from there. Changes that were given with `--set` are in the settings at the end alone."
)

_SEEDS = (
    "A click on a picture shows its seeds and its own command; `shards/*/samples.jsonl` and `rejects.jsonl` have those of "
    "every image. On the same machine's CPU pixels come out as they were, save for last bits if a batch had another size."
)


def making(subject: Subject) -> Section:
    """The last tab."""
    groups = [
        joined([heading(title), facts((name, plain(text, 1000)) for name, text in rows)])
        for title, rows in subject.making
        if rows
    ]
    title = "Settings" if subject.document else "Source"
    return Section("making", title, joined([*_commands(subject), *groups, *_document(subject)]))


def _commands(subject: Subject) -> Iterator[Html]:
    if not subject.commands:
        yield note("No seeds: these images were not made here, or are a filter's choice of what was.")
        return
    yield heading("Make it again")
    yield note(_WHERE)
    for words, command in subject.commands:
        yield tag("div", tag("p", words), tag("pre", tag("code", command), class_="command", tabindex=0))
    yield note(_SEEDS)


def _document(subject: Subject) -> Iterator[Html]:
    if not subject.document:
        return
    text = subject.document
    cut = text if len(text) <= DOCUMENT else text[:DOCUMENT] + "\n… (the rest is in the folder)"
    yield tag("details", tag("summary", "Settings in full"), tag("pre", cut, tabindex=0))
