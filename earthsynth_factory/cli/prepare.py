"""`prepare PATH --out DIR`: a published dataset, or the user's own, into the layout that everything here reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.opening import opening
from earthsynth_factory.cli.say import say


def prepare(
    path: Annotated[Path, typer.Argument(help="The dataset: its top folder, an annotation file, or an archive.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result; a second run goes on in it.")],
    kind: Annotated[
        str,
        typer.Option(
            help="auto: by what is in it, and said. Or coco, yolo, voc, masks, dota … (importers/README.md lists all), or a "
            "reader of your own as package.module:Class."
        ),
    ] = "auto",
    crop: Annotated[int, typer.Option(help="Side of a square crop in pixels; 0 keeps images whole.")] = 512,
    overlap: Annotated[float, typer.Option(help="Share of its side that a crop has in common with the next.")] = 0.2,
    min_visible: Annotated[float, typer.Option(help="Least share of an object in a crop for it to count.")] = 0.3,
    keep_empty: Annotated[float, typer.Option(help="Share of crops without any class that are kept.")] = 0.1,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="YAML: class of the dataset (word, id or colour) → category.")
    ] = None,
    segments: Annotated[
        Path | None, typer.Option(help="COCO results of a segmenter whose masks stand in for boxes (lae).")
    ] = None,
    stretch: Annotated[
        str | None,
        typer.Option(
            help="How imagery of more than 8 bits becomes 8: p2-98 (percentiles of the dataset), min-max, or two values as "
            "0,3000. [p2-98]"
        ),
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Bands for red, green, blue, from 1, as 4,3,2. [as each file says]")
    ] = None,
    category_augmentation: Annotated[
        bool | None,
        typer.Option(
            "--category-augmentation/--no-category-augmentation",
            help="Also write an image and mask for every class of an image. [on for earthsynth-180k]",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first thing that cannot be used.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON on stdout.")] = False,
) -> None:
    """Bring a real dataset into the layout that all commands read. Stop and rerun as you like."""
    import json
    from dataclasses import asdict

    with opening():
        from earthsynth_factory.cli.progress import scene_progress
        from earthsynth_factory.importers.crops import CropRules
        from earthsynth_factory.importers.finish import problems_of
        from earthsynth_factory.importers.prepare import PrepareOptions
        from earthsynth_factory.importers.prepare import prepare as run

    options = PrepareOptions(
        kind=kind,
        rules=CropRules(crop, overlap, min_visible),
        keep_empty=keep_empty,
        augment=category_augmentation,
        map=map_file,
        segments=segments,
        stretch=stretch,
        bands=bands_of(bands),
        strict=strict,
        workers=workers,
    )
    with scene_progress() as watch:
        summary = run(path, out, options, watch)
    if as_json:
        say(json.dumps(asdict(summary)))
        return
    say(f"{out}: {summary.images} images ({summary.recognised})")
    found = summary.found
    objects = f", {found['objects']} objects" if found["objects"] else ""
    say(
        f"  found there: {found['images']} images{objects}, {found['classes']} classes; used: {found['images used']} images"
    )
    for name, pixels in sorted(summary.pixels.items(), key=lambda entry: -entry[1]):
        objects = f", {summary.objects[name]} objects" if name in summary.objects else ""
        say(f"  {name}: {pixels / sum(summary.pixels.values()):.2%} of pixels{objects}")
    if summary.ignored:
        share = summary.ignored / (summary.ignored + sum(summary.pixels.values()))
        say(f"  ignored (of no known class, or no picture): {share:.2%} of all pixels")
    for reason, count in summary.left_out.items():
        say(f"  left out: {count}× {reason}")
    for remark, count in summary.remarks.items():
        say(f"  note: {remark}" + (f" ({count:,}×)" if count > 1 else ""))
    if summary.problems:
        place, problems = problems_of(out)
        say(f"  {summary.problems} problems, listed in {place}:", err=True)
        for line in problems[:5]:
            say(f"    {line}", err=True)


def bands_of(text: str | None) -> tuple[int, int, int] | None:
    """`4,3,2` as three numbers. Raises `InputError`."""
    from earthsynth_factory.errors import InputError

    if text is None:
        return None
    try:
        red, green, blue = map(int, text.split(","))
    except ValueError:
        raise InputError(f"--bands {text}: three numbers from 1, for red, green and blue, as 4,3,2") from None
    return red, green, blue
