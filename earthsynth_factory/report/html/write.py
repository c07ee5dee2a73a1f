"""From a subject to the file."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.report.html.clusters import find_clusters
from earthsynth_factory.report.html.counts import Tally
from earthsynth_factory.report.html.model import Subject
from earthsynth_factory.report.html.page import render_page
from earthsynth_factory.report.html.sections.duplicates import duplicates
from earthsynth_factory.report.html.sections.gallery import Wall, gallery
from earthsynth_factory.report.html.sections.making import making
from earthsynth_factory.report.html.sections.objects import objects
from earthsynth_factory.report.html.sections.overview import overview
from earthsynth_factory.report.html.sections.reasons import reasons
from earthsynth_factory.report.html.sections.scores import scores


def write_report(subject: Subject, path: Path) -> None:
    """Write the report. Raises StoreError, SourceError if the records are damaged, DiskError."""
    write_bytes(path, render_report(subject))


def render_report(subject: Subject) -> bytes:
    """The report as UTF-8; equal datasets give equal bytes."""
    tally, wall = Tally.of(subject), Wall(subject)
    pictures = gallery(tally, wall)
    shown = frozenset(wall.pairs)
    found = [
        overview(subject, tally),
        pictures,
        reasons(subject, tally, shown),
        scores(subject, tally),
        objects(subject, tally),
        duplicates(tally, find_clusters(tally.compared.items()), wall),
        making(subject),
    ]
    return render_page(subject, tally, [section for section in found if section is not None])
