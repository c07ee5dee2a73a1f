"""`merge A B … --out DIR`: several datasets as one, categories by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Output folders of builds and prepared datasets.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder; images in it are hard links.")],
    partial: Annotated[bool, typer.Option("--partial", help="Take what unfinished builds have so far.")] = False,
) -> None:
    """Put datasets together. Says which ids and names changed, and what their splits have in common."""
    from earthsynth_factory.cli.split import say_leaks
    from earthsynth_factory.cli.writing import write_folder
    from earthsynth_factory.datasets.build.completeness import check_finished
    from earthsynth_factory.datasets.merged import Merged
    from earthsynth_factory.datasets.open import open_dataset
    from earthsynth_factory.errors import InputError

    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise InputError(f"{' '.join(map(str, folders))}: name two datasets or more, each once")
    datasets = [open_dataset(folder) for folder in folders]
    if not partial:
        for dataset in datasets:
            check_finished(dataset)
    merged = Merged(datasets)
    write_folder(merged, out, "merge", {"sources": [str(folder.resolve()) for folder in folders]})
    say_leaks(merged)
