"""The report of any folder of ours: what the report's own floor cannot know is brought to it here, the plan and whatever
`filter` can read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from earthsynth_factory.build.plan import Plan
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.errors import SourceError
from earthsynth_factory.filtering import labelled_folder as labelled
from earthsynth_factory.filtering.measuring import read
from earthsynth_factory.filtering.sources import open_folder
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.provenance import source_type_of
from earthsynth_factory.report.html.builds import subject_of_build
from earthsynth_factory.report.html.filtered import DECISION, FilteredSource, read_decision, subject_of_filter
from earthsynth_factory.report.html.model import ImagePixels, ReportImage
from earthsynth_factory.report.html.prepared import subject_of_prepared
from earthsynth_factory.report.html.write import write_report

UNSPLIT = "all"
"""Stands for the split of images of which none is published."""

_ABSENT = {
    "objects": "Sizes of objects are measured in builds and prepared data alone: `earthsynth-factory prepare` brings this "
    "folder in."
}


def report_on(folder: Path, path: Path | None = None) -> Path:
    """Write the report of a build's output, finished or not, of a prepared dataset, or of what `filter` wrote of any folder.

    Returns where it lies. Raises StoreError, SourceError if the folder is none of these or is damaged, InputError,
    DiskError.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    place = path or report_path(folder)
    if (folder / DECISION).is_file():
        decision = read_decision(folder)
        write_report(subject_of_filter(folder, decision, _filtered(folder, decision)), place)
        return place
    dataset = open_dataset(folder)
    if isinstance(dataset, BuildReader):
        report_on_build(dataset, Plan.recorded(dataset), place)
    else:
        write_report(subject_of_prepared(dataset), place)
    return place


def report_on_build(store: BuildReader, plan: Plan, path: Path) -> None:
    """Write the report of a build. Raises as `report_on`."""
    asked = {(category, split): count for category, split, count in plan.needs()}
    write_report(subject_of_build(store, asked, plan.split_of), path)


def report_path(folder: Path) -> Path:
    """Where a folder's report lies unless the user says otherwise. Raises StoreError if a link leads there."""
    return write_below(BuildLayout(folder).report, folder) / "index.html"


def _filtered(folder: Path, decision: Mapping[str, Any]) -> FilteredSource:
    """What was filtered, opened as the filter did. folder: the filter's own, where archives lie unpacked."""
    path, kind, words = Path(decision["source"]), decision["kind"], decision.get("map")
    if kind in ("build", "prepared"):
        return FilteredSource.of(open_dataset(path))
    opened = open_folder(path, folder, Path(words) if words else None, kind)
    splits = list(dict.fromkeys(entry.split or UNSPLIT for entry in opened.entries))
    return FilteredSource(path.name, opened.taxonomy, splits, partial(_entries, opened), _ABSENT)


def _entries(folder: labelled.LabelledFolder) -> Iterator[ReportImage]:
    for entry in folder.entries:
        yield ReportImage(entry.name, Outcome.KEPT, (), entry.split or UNSPLIT, pixels=partial(_pixels, entry))


def _pixels(entry: labelled.LabelledImage) -> ImagePixels:
    found = read(entry)
    if isinstance(found, SourceError):
        raise found
    return ImagePixels(found.image, found.condition.mask, found.condition.instances, source_type_of(entry.files[0]))
