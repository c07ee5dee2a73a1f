"""The command line. Everything heavy is imported inside command bodies, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from earthsynth_factory import __version__
from earthsynth_factory.cli import (
    build,
    dataset,
    doctor,
    evaluate,
    export,
    filter,
    generate,
    mosaic,
    packing,
    plan,
    prepare,
    recipe,
    report,
    sign,
    split_merge,
    train,
)
from earthsynth_factory.cli.ctrl_c import ending, interrupt_once
from earthsynth_factory.cli.guard import GuardedGroup, report_defect, report_stop
from earthsynth_factory.cli.say import say
from earthsynth_factory.cli.verbosity import set_verbosity

app = typer.Typer(
    name="earthsynth-factory",
    cls=GuardedGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Labelled satellite imagery from a recipe: masks, ControlNet images, a filter, COCO and segmentation datasets.",
    epilog="Exit codes: 0 done, 1 a defect of ours, 2 something to mend in what was given, 3 ended early and resumable.",
)

# One line a command, in the order of `--help`.
app.add_typer(recipe.app, name="recipe")
app.command()(plan.plan)
app.command()(build.build)
app.command()(generate.generate)
app.command()(mosaic.mosaic)
app.command()(dataset.status)
app.command()(dataset.stats)
app.command()(export.export)
app.command()(sign.sign)
app.command()(split_merge.split)
app.command()(split_merge.merge)
app.command("pack")(packing.pack_masters)
app.command("unpack")(packing.unpack_masters)
app.command()(dataset.preview)
app.command()(report.report)
app.command()(report.remake)
app.command()(prepare.prepare)
app.command("filter")(filter.filter_)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"earthsynth-factory {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say on stderr what is being done.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Results and errors alone: no progress, no warnings.")
    ] = False,
) -> None:
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet contradict each other; give one")
    set_verbosity(verbose, quiet)


def main() -> None:
    """The console script."""
    # NumPy's products are small here, and its threads wait for one another at full speed: on busy cores that took 18 times as
    # long as the products themselves. PyTorch has threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    interrupt_once()
    try:
        app(prog_name="earthsynth-factory")
    except KeyboardInterrupt:  # before the command began: its options are being read
        sys.exit(report_stop())
    except Exception as error:
        sys.exit(report_defect(error))
    finally:
        ending()


__all__ = ["app", "main"]
