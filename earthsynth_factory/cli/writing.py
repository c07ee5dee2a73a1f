"""A dataset written into a new folder of its own, as `split` and `merge` do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from earthsynth_factory.datasets.base import LabelledDataset


def write_folder(dataset: LabelledDataset, out: Path) -> None:
    """Write the prepared layout and say so. Raises StoreError where `out` holds anything, SourceError, DiskError."""
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.build.completeness import check_masters
    from earthsynth_factory.errors import StoreError
    from earthsynth_factory.exports.prepared import PreparedSpec
    from earthsynth_factory.exports.write import export_to

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out}: holds something already; choose an empty or new folder for --out")
    with image_progress(check_masters(dataset), "writing") as advance:
        summary = export_to(dataset, PreparedSpec(), out, advance)
    typer.echo(f"{out}: {', '.join(f'{split} {count}' for split, count in summary.counts.items())}")
    for note in summary.notes:
        typer.echo(f"  note: {note}")
