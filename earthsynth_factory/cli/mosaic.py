"""`mosaic RECIPE -o town.tif`: the whole area of a map as one georeferenced picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.say import say


def mosaic(
    recipe: Annotated[Path, typer.Argument(help="A recipe with a source `kind: vector`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The GeoTIFF; its class ids are written beside it.")],
    metres_per_pixel: Annotated[float | None, typer.Option(min=0.01, help="By default the recipe's finest.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key: a.b=3. May be repeated.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
) -> None:
    """Draw the area of a map as one picture. Writes a cloud-optimised GeoTIFF without seams, and its class ids beside it."""
    from earthsynth_factory.build.mosaic import mosaic as run
    from earthsynth_factory.cli.progress import window_progress
    from earthsynth_factory.recipe.load import load_recipe

    with window_progress() as on_step:
        made = run(
            load_recipe(recipe, tuple(changes or ())),
            out,
            metres_per_pixel=metres_per_pixel,
            device=device,
            on_step=on_step,
        )
    say(f"{made.image}  {made.size[1]} × {made.size[0]} pixels")
    say(str(made.labels))
