"""`train RECIPE`: a ControlNet on your own pairs; stopped at any time, it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.opening import opening
from earthsynth_factory.cli.say import say


def train(
    recipe: Annotated[Path, typer.Argument(help="The training recipe, a YAML file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder; by default out/<recipe's name>.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key: a.b=3. May be repeated.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the newest checkpoint in the run folder.")] = False,
    preview_cf_comp: Annotated[
        int, typer.Option(min=0, max=10_000, metavar="N", help="Draw N composed samples and stop; trains nothing.")
    ] = 0,
    export_only: Annotated[bool, typer.Option(help="Write the model from the newest checkpoint and stop.")] = False,
) -> None:
    """Train a ControlNet on your own pairs. With Counterfactual Composition."""
    with opening():
        from earthsynth_factory.training.start import Options, start

    options = Options(out, changes or [], resume, export_only, preview_cf_comp)
    say(str(start(recipe, options)))
