"""Writes exports: each into a temporary folder that takes the place of an older one only when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.layout import Layout
from earthsynth_factory.datasets.views import OfClasses, of_labels
from earthsynth_factory.errors import InputError
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.io.atomic import disk_error, write_bytes

MARK = ".earthsynth-factory-export"
"""In the folder of every export: the next one may replace what has it, and nothing else."""


def export(store: LabelledDataset, specs: Sequence[ExportSpec], out: Path, progress: Progress) -> list[ExportSummary]:
    """Write each format to `out/<kind>`. The masters are only read.

    Raises DiskError, StoreError, SourceError, and InputError as `check_targets`.
    """
    check_targets(specs, out, store.root)
    return [export_to(_narrowed(store, spec), spec, out / spec.kind, progress, mark=True) for spec in specs]


def _narrowed(store: LabelledDataset, spec: ExportSpec) -> LabelledDataset:
    """The dataset with the classes that the block names, or its own labels' classes."""
    return OfClasses(store, spec.classes) if isinstance(spec.classes, tuple) else of_labels(store)


def check_targets(specs: Sequence[ExportSpec], out: Path, source: Path) -> None:
    """Raises InputError where a format would take the place of what no export wrote, or of the folder it is made from."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder for --out")
    for target in (out / spec.kind for spec in specs):
        if source.resolve().is_relative_to(target.resolve()):
            raise InputError(f"{target}: is what the export would be made from; choose another --out")
        if not target.exists() or target.parent == Layout(source).exports or (target / MARK).is_file():
            continue
        if not target.is_dir() or any(target.iterdir()):
            raise InputError(f"{target}: holds what no export wrote; move it away or choose another --out")


def export_to(
    store: LabelledDataset, spec: ExportSpec, target: Path, progress: Progress, mark: bool = False
) -> ExportSummary:
    """Write one format to the folder `target` itself, with `mark` as one that may be replaced. Raises as `export` does."""
    fresh, stale = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    try:
        for leftover in (fresh, stale):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        summary = spec.write(store, fresh, progress)
        if mark:
            write_bytes(fresh / MARK, b"", durable=False)
        if target.exists():
            target.rename(stale)
        fresh.rename(target)
        shutil.rmtree(stale, ignore_errors=True)
    except OSError as error:
        raise disk_error(target, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return summary
