"""Writes exports: each into a temporary folder that takes the place of an older one only when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.store.dataset import LabelledDataset
from earthsynth_factory.store.writer import disk_error


def export(store: LabelledDataset, specs: Sequence[ExportSpec], out: Path, progress: Progress) -> list[ExportSummary]:
    """Write each format to `out/<kind>`. The masters are only read. Raises DiskError, StoreError, SourceError."""
    return [export_to(store, spec, out / spec.kind, progress) for spec in specs]


def export_to(store: LabelledDataset, spec: ExportSpec, target: Path, progress: Progress) -> ExportSummary:
    """Write one format to the folder `target` itself. Raises as `export` does."""
    fresh, stale = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    try:
        for leftover in (fresh, stale):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        summary = spec.write(store, fresh, progress)
        if target.exists():
            target.rename(stale)
        fresh.rename(target)
        shutil.rmtree(stale, ignore_errors=True)
    except OSError as error:
        raise disk_error(target, error) from error
    return summary
