"""`split DIR`: what leaks between the splits of a dataset, and the same images split anew by group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earthsynth_factory.cli.say import say

if TYPE_CHECKING:
    from earthsynth_factory.datasets.base import LabelledDataset

EXAMPLES = 5
"""So many leaks of a sort are named; the others are counted."""


def split(
    folder: Annotated[Path, typer.Argument(help="Output folder of a build, or a prepared dataset.")],
    ratios: Annotated[
        str | None, typer.Option(help="Shares: 0.8,0.1,0.1 (train, val, test) or train=0.8,val=0.2.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder; images in it are hard links.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed deals the groups out otherwise.")] = 0,
    partial: Annotated[bool, typer.Option("--partial", help="Take what an unfinished build has so far.")] = False,
) -> None:
    """Split by group, so that no scene feeds two splits. Without --ratios, report on the splits as they are."""
    from earthsynth_factory.cli.writing import write_folder
    from earthsynth_factory.datasets.build.completeness import check_finished
    from earthsynth_factory.datasets.open import open_dataset
    from earthsynth_factory.datasets.splitting import parse_ratios, split_groups
    from earthsynth_factory.datasets.views import Resplit
    from earthsynth_factory.errors import InputError

    if (ratios is None) != (out is None):
        raise InputError("--ratios and --out go together: the dataset itself is never changed")
    dataset = open_dataset(folder)
    if not partial:
        check_finished(dataset)
    if ratios is not None and out is not None:
        shares = parse_ratios(ratios)
        dataset = Resplit(dataset, split_groups(dataset, shares, seed), list(shares))
        source = str(folder.resolve())
        write_folder(dataset, out, "split", {"source": source, "ratios": shares, "seed": seed})
    say_leaks(dataset)


def say_leaks(dataset: LabelledDataset) -> None:
    """Print what two splits have in common."""
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.splitting import find_leaks

    with image_progress(dataset.count, "comparing") as advance:
        leaks = find_leaks(dataset, advance)
    say(f"groups in several splits: {len(leaks.groups)}")
    for group, splits in list(leaks.groups.items())[:EXAMPLES]:
        say(f"  {group}: {', '.join(splits)}")
    say(f"images that look the same in two splits: {len(leaks.alike)}")
    for one, other in leaks.alike[:EXAMPLES]:
        say(f"  {'/'.join(one)} and {'/'.join(other)}")
    if leaks.uncompared:
        say(f"  {leaks.uncompared} images of a single grey were not compared")
