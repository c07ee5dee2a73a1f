"""`filter PATH`: which labelled images of a folder are worth training on, and why the others are not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earthsynth_factory.cli.opening import opening
from earthsynth_factory.cli.prepare import bands_of
from earthsynth_factory.cli.say import say, say_aside

if TYPE_CHECKING:
    from earthsynth_factory.filtering.results import FilterSummary


FEW = 0.25
"""If a smaller share of the images is kept, the rules' models are doubted as well."""


class Apply(StrEnum):
    """What becomes of the decision."""

    copy = "copy"
    link = "link"
    list = "list"


def filter_(
    path: Annotated[Path, typer.Argument(help="A build, a prepared or published dataset, or test.py's pictures.")],
    config: Annotated[Path | None, typer.Option(help="filter.yaml: rules, thresholds, how they are combined.")] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Real labelled images that thresholds are learnt from.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="By default <PATH's name>-filter, here.")] = None,
    apply: Annotated[Apply, typer.Option(help="Also write the kept images, or list them alone.")] = Apply.list,
    map_file: Annotated[Path | None, typer.Option("--map", help="YAML: class of the dataset → category.")] = None,
    kind: Annotated[str, typer.Option(help="What PATH is, in `prepare`'s words, if it is not recognised.")] = "auto",
    stretch: Annotated[
        str | None, typer.Option(help="How imagery of more than 8 bits becomes 8, as `prepare` has it. [p2-98]")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Bands for red, green, blue, from 1, as 4,3,2. [as each file says]")
    ] = None,
    allow_plugins: Annotated[
        bool, typer.Option("--allow-plugins", help="Import the plug-ins the configuration names, whose code then runs.")
    ] = False,
    report: Annotated[bool, typer.Option(help="Write the report, OUT/report/index.html.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    workers: Annotated[str, typer.Option(help="Processes; auto is one for each GPU, one without.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON on stdout.")] = False,
) -> None:
    """Score labelled images and say which to keep. PATH is only read; stop and rerun as you like."""
    import json
    from dataclasses import asdict

    with opening():
        from earthsynth_factory.cli.progress import scene_progress
        from earthsynth_factory.filtering.run import FilterOptions, run_filter
        from earthsynth_factory.filtering.scoring import HowToScore
        from earthsynth_factory.io.mirror import local_copy

    options = FilterOptions(
        config, calibrate, apply.value, map_file, device, kind, allow_plugins, stretch, bands_of(bands)
    )
    count = _workers(workers)
    with (
        local_copy(path, say_aside) as at,
        local_copy(out or _beside(path), say_aside, new=True, writes=True) as target,
    ):
        with scene_progress("images") as watch:
            summary = run_filter(at, target, options, HowToScore(count, watch, say_aside))
        written = _report(summary.out) if report else None
        if as_json:
            say(json.dumps({**asdict(summary), "out": str(summary.out), "report": written and str(written)}))
            return
        say(f"{path}: {summary.recognised}")
        _say(summary)
        if written:
            say(f"Look at it:  {written}")


def _workers(text: str) -> Literal["auto"] | int:
    """`auto` or a number. Raises InputError."""
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.recipe.schema import MOST_WORKERS

    if text == "auto":
        return "auto"
    count = int(text) if text.isdecimal() and len(text) <= len(str(MOST_WORKERS)) else 0
    if not 1 <= count <= MOST_WORKERS:
        raise InputError(f"--workers {text}: `auto` or a whole number of 1–{MOST_WORKERS}")
    return count


def _beside(path: Path) -> Path:
    """<PATH's name>-filter, here; if that would lie in PATH itself, beside it."""
    whole = path.resolve()
    name = f"{whole.name}-filter"
    return whole.with_name(name) if Path.cwd().is_relative_to(whole) else Path(name)


def _say(summary: FilterSummary) -> None:
    say(f"kept {summary.kept} of {summary.images} images; scores and reasons in {summary.out}/scores.csv")
    for name, (kept, count) in summary.classes.items():
        say(f"  {name}: {kept} of {count}")
    for rule, count in summary.reasons.items():
        say(f"  not kept: {count}× {rule}")
    looked = ", ".join(f"{rule} {count}" for rule, count in summary.scored.items())
    say(f"  images looked at now: {looked}" if looked else "  decided from stored scores; no image was looked at")
    if summary.thresholds_from == "run":
        say(
            "  thresholds: percentiles within this run, no looser than the rules' own; give real images with --calibrate"
        )
    elif summary.thresholds_from == "shipped":
        say("  thresholds: those that ship, learnt from real images; your own real images are better: --calibrate")
    else:
        say(f"  thresholds for a recipe: `rfilter: {{thresholds: {summary.out}/thresholds.yaml}}`")
    if summary.thresholds_from != "real" and summary.kept < FEW * summary.images:
        say("  so few: the rules' models may not know such imagery; look at the report before you believe them")
    if summary.faults:
        say(f"  images that could not be used: {len(summary.faults)}; the first:", err=True)
        for fault in summary.faults[:5]:
            say(f"    {fault}", err=True)


def _report(out: Path) -> Path | None:
    """Where the report lies. What stands in its way is said and costs no decision: those are written already."""
    from earthsynth_factory.build.reporting import report_on
    from earthsynth_factory.errors import FactoryError

    try:
        return report_on(out)
    except FactoryError as error:
        say(f"no report: {error}", err=True)
        return None
