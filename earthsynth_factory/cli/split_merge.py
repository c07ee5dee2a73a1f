"""`split DIR` and `merge A B …`: datasets arranged anew, each into a new folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earthsynth_factory.cli.say import say, say_aside

if TYPE_CHECKING:
    from earthsynth_factory.datasets.base import LabelledDataset
    from earthsynth_factory.datasets.lookalikes.index import Lookalikes

EXAMPLES = 5
"""This many leaks of a sort are named; the others are counted."""


def split(
    folder: Annotated[Path, typer.Argument(help="Output folder of a build, or a prepared dataset.")],
    ratios: Annotated[
        str | None, typer.Option(help="Shares: 0.8,0.1,0.1 (train, val, test) or train=0.8,val=0.2.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder; images in it are hard links.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed deals the groups out otherwise.")] = 0,
    partial: Annotated[bool, typer.Option("--partial", help="Take what an unfinished build has so far.")] = False,
) -> None:
    """Split by scene; images that look the same stay together. Without --ratios, report on the splits as they are."""
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.build.completeness import check_finished
    from earthsynth_factory.datasets.open import open_dataset
    from earthsynth_factory.datasets.splitting import groups_for, parse_ratios, split_groups
    from earthsynth_factory.datasets.views import Resplit
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.io.mirror import local_copy, recorded_place

    if (ratios is None) != (out is None):
        raise InputError("--ratios and --out go together: the dataset itself is never changed")
    with ExitStack() as places:
        dataset = open_dataset(places.enter_context(local_copy(folder, say_aside)))
        if not partial:
            check_finished(dataset)
        shares = parse_ratios(ratios) if ratios is not None else {}
        groups = groups_for(dataset, shares) if shares else {}
        target = places.enter_context(local_copy(out, say_aside, new=True, writes=True)) if out is not None else None
        looks = places.enter_context(_looks(dataset))
        if target is not None:
            with image_progress(dataset.count, "comparing") as advance:
                split_of = split_groups(dataset, groups, looks, shares, seed, advance)
            dataset = Resplit(dataset, split_of, list(shares))
            settings = {"source": recorded_place(folder), "ratios": shares, "seed": seed}
            write_folder(dataset, target, "split", settings)
        say_leaks(dataset, looks)


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Output folders of builds and prepared datasets.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder; images in it are hard links.")],
    partial: Annotated[bool, typer.Option("--partial", help="Take what unfinished builds have so far.")] = False,
) -> None:
    """Put datasets together. Says which ids and names changed, and what their splits have in common."""
    from earthsynth_factory.datasets.build.completeness import check_finished
    from earthsynth_factory.datasets.merged import Merged
    from earthsynth_factory.datasets.open import open_dataset
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.io.mirror import local_copy, recorded_place

    if len({recorded_place(folder) for folder in folders}) < max(2, len(folders)):
        raise InputError(f"{' '.join(map(str, folders))}: name two datasets or more, each once")
    with ExitStack() as places:
        here = [places.enter_context(local_copy(folder, say_aside)) for folder in folders]
        target = places.enter_context(local_copy(out, say_aside, new=True, writes=True))
        datasets = [open_dataset(folder) for folder in here]
        if not partial:
            for dataset in datasets:
                check_finished(dataset)
        merged = Merged(datasets)
        write_folder(merged, target, "merge", {"sources": [recorded_place(folder) for folder in folders]})
        with _looks(merged) as looks:
            say_leaks(merged, looks)


@contextmanager
def _looks(dataset: LabelledDataset) -> Iterator[Lookalikes]:
    """Every image looked at, behind a bar."""
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.splitting import thumbnails_of

    with ExitStack() as stack:
        with image_progress(dataset.count, "looking") as advance:
            looks = stack.enter_context(thumbnails_of(dataset, advance))
        yield looks


def say_leaks(dataset: LabelledDataset, looks: Lookalikes) -> None:
    """Print what two splits have in common."""
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.splitting import find_leaks

    with image_progress(dataset.count, "comparing") as advance:
        leaks = find_leaks(dataset, looks, advance)
    say(f"groups in several splits: {len(leaks.groups)}")
    for group, splits in list(leaks.groups.items())[:EXAMPLES]:
        say(f"  {group}: {', '.join(splits)}")
    say(f"images that look the same in two splits: {len(leaks.alike)}")
    for one, other in leaks.alike[:EXAMPLES]:
        say(f"  {'/'.join(one)} and {'/'.join(other)}")
    if leaks.uncompared:
        say(f"  {leaks.uncompared} images of a single grey were not compared")


def write_folder(dataset: LabelledDataset, out: Path, command: str, settings: Mapping[str, Any]) -> None:
    """Write the prepared layout and say so; what the same command finished before is left as it is.

    settings: what the user asked for. Raises StoreError if `out` holds anything else, SourceError, DiskError.
    """
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.build.completeness import check_masters
    from earthsynth_factory.datasets.prepared.layout import FOLDERS
    from earthsynth_factory.exports.prepared import PreparedSpec
    from earthsynth_factory.exports.write import content_of, write_format
    from earthsynth_factory.io.claim import claimed

    with claimed(out, command, {**settings, "content": content_of(dataset)}, folders=FOLDERS) as claim:
        if claim.done(""):
            say(f"{out}: is written already, from the same images with the same options; nothing was changed")
            return
        with image_progress(check_masters(dataset), "writing") as advance:
            claim.begin()
            summary = write_format(dataset, PreparedSpec(), out, advance)
            claim.finish("")
    say(f"{out}: {', '.join(f'{split} {count}' for split, count in summary.counts.items())}")
    for note in summary.notes:
        say(f"  note: {note}")
