"""`train RECIPE`: the embedded model from nothing; stop it at any time, the same command goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="The training recipe, a YAML file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder: crops, checkpoints, sample grids, logs.")],
    datasets: Annotated[Path, typer.Option(help="Folder with an imported dataset for each source.")] = Path("datasets"),
    preset: Annotated[Literal["cpu", "gpu"], typer.Option(help="Sizes and steps for this kind of machine.")] = "cpu",
    export_only: Annotated[bool, typer.Option(help="Write the models from the newest checkpoints and stop.")] = False,
) -> None:
    """Train autoencoder, decoder, diffusion and CLIP, and write them with their model cards to OUT/embedded."""
    from earthsynth_factory.training.make import make_embedded

    typer.echo(str(make_embedded(recipe, datasets, out, preset, export_only)))
