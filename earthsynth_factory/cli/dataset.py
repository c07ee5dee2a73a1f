"""`status`, `stats`, `preview`: look at a folder of labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earthsynth_factory.cli.say import say, say_aside

if TYPE_CHECKING:
    from earthsynth_factory.datasets.build.reader import BuildReader

Folder = Annotated[Path, typer.Argument(help="Output folder of a build.")]
Dataset = Annotated[Path, typer.Argument(help="Output folder of a build, or a prepared dataset.")]


def status(
    folder: Folder,
    verify: Annotated[bool, typer.Option("--verify", help="Compare what is finished with its digests.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
) -> None:
    """What is done, missing and rejected, and why. With --verify exit 2 if finished files are lost or changed."""
    import json

    from earthsynth_factory.datasets.build.reader import BuildReader
    from earthsynth_factory.io.mirror import local_copy
    from earthsynth_factory.report.dataset_card import Counts

    with local_copy(folder, say_aside, records=not verify) as at:
        store = BuildReader(at)
        if verify:
            _verify(store)
        counts = Counts.of(store)
    accepted, asked = sum(counts.accepted.values()), store.run.images
    if as_json:
        facts = {
            "accepted": accepted,
            "asked": asked,
            "splits": dict(counts.accepted),
            "rejected": dict(counts.rejected),
            "undrawn": {store.taxonomy.asked_for(category): why for category, why in counts.undrawn.items()},
        }
        say(json.dumps({**facts, "fingerprint": store.run.fingerprint}))
        return
    say(f"{store.run.name}: {accepted} of {asked} images ({100 * accepted / max(asked, 1):.1f} %)")
    for category in store.taxonomy:
        images = {split: counts.images[category.id, split] for split in store.splits}
        if any(images.values()):
            objects = f", {counts.objects[category.id]} objects" if category.thing else ""
            say(f"  {category.name}: {', '.join(f'{split} {count}' for split, count in images.items())}{objects}")
    for reason, count in counts.rejected.most_common():
        say(f"  not kept: {count}× {reason}")
    for wanted, why in counts.undrawn.items():
        say(f"  {store.taxonomy.asked_for(wanted)}: no condition: {why}")


def _verify(store: BuildReader) -> None:
    """Raises StoreError that names every shard that is not what was committed."""
    from earthsynth_factory.build.verify import damages
    from earthsynth_factory.errors import StoreError

    found = [f"  shard {layout.root.name}: {fault}" for layout, fault in damages(store, digests=True)]
    if found:
        raise StoreError(
            "\n".join(
                [f"{store.root}: not what was finished; the same build command with --verify makes it again:", *found]
            )
        )


def stats(
    folder: Dataset,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="By default <folder>/report/statistics.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
) -> None:
    """Count images, pixels and objects by class. A table on stdout, and a plot with the objects' sizes."""
    import json
    from dataclasses import asdict

    from rich.progress import Progress

    from earthsynth_factory.datasets.open import open_dataset
    from earthsynth_factory.io.atomic import write_bytes
    from earthsynth_factory.io.gates import write_below
    from earthsynth_factory.io.log import console
    from earthsynth_factory.io.mirror import local_copy
    from earthsynth_factory.report.sheets import to_png
    from earthsynth_factory.report.statistics import draw_statistics, statistics, text_table

    with local_copy(folder, say_aside, writes=out is None) as at:
        dataset = open_dataset(at)
        with Progress(console=console(), transient=True) as bar:
            task = bar.add_task("counting", total=dataset.count)
            rows = statistics(dataset, lambda count: bar.advance(task, count))
        path = out or write_below(at / "report", at) / "statistics.png"
        write_bytes(path, to_png(draw_statistics(rows)))
    if as_json:
        say(json.dumps([asdict(row) for row in rows]))
        return
    say(text_table(rows, dataset.splits))
    say(str(path), err=True)


def preview(
    folder: Dataset,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="By default <folder>/report/preview.png.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=400, help="Samples on the sheet.")] = 24,
    columns: Annotated[int, typer.Option(min=1, max=20)] = 4,
    side: Annotated[int, typer.Option(min=16, max=1024, help="Pixels that each view is wide.")] = 160,
    edits: Annotated[
        bool, typer.Option("--edits", help="Before, after, mask and difference of what was made from pictures.")
    ] = False,
    base: Annotated[
        Path | None, typer.Option(help="With --edits: folder that the recipe's paths start from. [default: FOLDER]")
    ] = None,
) -> None:
    """Draw a contact sheet of samples of every category. Of each its image, mask and overlay."""
    if edits:
        _preview_edits(folder, base or folder, out, (count, min(columns, 2), side))
        return
    from itertools import islice

    from earthsynth_factory.datasets.open import open_dataset
    from earthsynth_factory.errors import StoreError
    from earthsynth_factory.io.atomic import write_bytes
    from earthsynth_factory.io.gates import write_below
    from earthsynth_factory.io.mirror import local_copy
    from earthsynth_factory.report.sheets import contact_sheet, spread

    with local_copy(folder, say_aside, writes=out is None) as at:
        store = open_dataset(at)
        # The first thousands hold every category, since the plan interleaves them.
        records = spread(list(islice(store.samples(), 4096)), count)
        if not records:
            raise StoreError(f"{folder}: no sample is recorded yet")
        path = out or write_below(at / "report", at) / "preview.png"
        write_bytes(path, contact_sheet(store, records, columns, side))
    say(str(path))


def _preview_edits(folder: Path, base: Path, out: Path | None, shape: tuple[int, int, int]) -> None:
    from earthsynth_factory.build.edit_sheet import edit_sheet
    from earthsynth_factory.build.plan import Plan
    from earthsynth_factory.build.remake import pipeline_of, recorded_recipe
    from earthsynth_factory.datasets.build.reader import BuildReader
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.io.atomic import write_bytes
    from earthsynth_factory.io.gates import write_below

    store = BuildReader(folder)
    recipe = recorded_recipe(store)
    sheet = edit_sheet(store, Plan.of(recipe, store.run.earlier), pipeline_of(store, recipe, base, "cpu"), *shape)
    if not sheet:
        raise InputError(
            f"{folder}: nothing in it was made from pictures, or no sample is recorded yet; leave out --edits"
        )
    path = out or write_below(folder / "report", folder) / "edits.png"
    write_bytes(path, sheet)
    say(str(path))
