"""The report of any folder of ours: what the report's own floor cannot know is brought to it here, the plan."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.importers.datasets import open_dataset
from earthsynth_factory.report.html.builds import subject_of_build
from earthsynth_factory.report.html.filtered import DECISION, read_decision, subject_of_filter
from earthsynth_factory.report.html.prepared import subject_of_prepared
from earthsynth_factory.report.html.write import write_report
from earthsynth_factory.run.plan import Plan
from earthsynth_factory.store.layout import Layout
from earthsynth_factory.store.reader import StoreReader


def report_on(folder: Path, path: Path | None = None) -> Path:
    """Write the report of a build's output, finished or not, of a prepared dataset, or of what `filter` wrote of either.

    Returns where it lies. Raises StoreError, SourceError where the folder is none of these or is damaged, InputError,
    DiskError.
    """
    place = path or report_path(folder)
    if (folder / DECISION).is_file():
        decision = read_decision(folder)
        write_report(subject_of_filter(folder, decision, open_dataset(Path(decision["source"]))), place)
        return place
    dataset = open_dataset(folder)
    if isinstance(dataset, StoreReader):
        report_on_build(dataset, Plan.recorded(dataset), place)
    else:
        write_report(subject_of_prepared(dataset), place)
    return place


def report_on_build(store: StoreReader, plan: Plan, path: Path) -> None:
    """Write the report of a build. Raises as `report_on`."""
    asked = {(category, split): count for category, split, count in plan.needs()}
    write_report(subject_of_build(store, asked, plan.split_of), path)


def report_path(folder: Path) -> Path:
    """Where a folder's report lies unless the user says otherwise."""
    return Layout(folder).report / "index.html"
