"""Kept images that look the same."""

from __future__ import annotations

from collections.abc import Sequence

from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.report.html.clusters import BITS, Clusters
from earthsynth_factory.report.html.counts import Tally
from earthsynth_factory.report.html.markup import Html, count, counted, joined, tag
from earthsynth_factory.report.html.model import ReportImage
from earthsynth_factory.report.html.sections.base import Section, note
from earthsynth_factory.report.html.sections.gallery import Wall

SHOWN, MEMBERS = 12, 6
"""Clusters with pictures, and pictures of each."""

BUDGET = 1_000_000
"""Characters that the pictures may take in the page."""


def duplicates(tally: Tally, clusters: Clusters, wall: Wall) -> Section:
    """The tab; it says how many images were looked at if that is not all."""
    members, start = sum(map(len, clusters.groups)), wall.used
    parts = [_summary(tally, clusters, members)]
    for group in clusters.groups[:SHOWN]:
        if wall.used - start < BUDGET:
            parts.append(_cluster(group, wall))
    if len(clusters.groups) > len(parts) - 1:
        parts.append(note(f"{len(clusters.groups) - len(parts) + 1} further clusters are not shown."))
    words = (
        f"Near duplicates: perceptual hashes of 64 bits that differ in at most {BITS}; chains of such pairs are one cluster. "
        "Turned or shifted copies are not found. `earthsynth-factory filter` drops near duplicates."
    )
    return Section("duplicates", "Duplicates", joined([*parts, note(words)]))


def _summary(tally: Tally, clusters: Clusters, members: int) -> Html:
    kept, read = tally.outcomes[Outcome.KEPT], clusters.compared + clusters.unreadable
    looked = f"all {count(kept)}" if read == kept else f"{count(read)} of {count(kept)}, drawn at random"
    found = f"{counted(members, 'image')} in {counted(len(clusters.groups), 'cluster')}"
    unread = f" {clusters.unreadable} could not be read." if clusters.unreadable else ""
    return tag(
        "p",
        tag("strong", found if clusters.groups else "No near duplicates"),
        f" among the kept images compared ({looked}).{unread}",
    )


def _cluster(group: Sequence[ReportImage], wall: Wall) -> Html:
    splits = sorted({entry.split for entry in group})
    title = [counted(len(group), "image")]
    if len(splits) > 1:
        title.append(tag("span", f"in several splits: {', '.join(splits)}", class_="badge bad"))
    if len(group) > MEMBERS:
        title.append(tag("small", f"the first {MEMBERS}"))
    cards = [wall.card(entry) for entry in group[:MEMBERS]]
    return tag("div", tag("h2", joined(title, " ")), tag("ul", *cards, class_="wall"), class_="group")
