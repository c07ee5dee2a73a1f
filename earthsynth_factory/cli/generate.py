"""`generate MASK CLASS`: one image from one mask, for trying a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def generate(
    mask: Annotated[Path, typer.Argument(help="PNG of class ids; with one value any value will do.")],
    category: Annotated[str, typer.Argument(metavar="CLASS", help="What the mask shows, as `ship`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture; labels are written beside it.")],
    model: Annotated[str, typer.Option(help="embedded, earthsynth, or a folder.")] = "embedded",
    seed: Annotated[int, typer.Option(help="Another seed gives another picture.")] = 0,
    scale: Annotated[float, typer.Option(help="Metres per pixel of the mask.")] = 0.5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
) -> None:
    """Draw one mask with a model: picture, mask and objects. For trying a model; datasets are made by `build`."""
    from earthsynth_factory.build.generate import generate as run
    from earthsynth_factory.cli.guard import say_warnings

    made = run(mask, category, out, model=model, seed=seed, scale=scale, device=device)
    say_warnings([made.note] if made.note else [])
    for path in (made.image, made.mask, made.labels):
        typer.echo(str(path))
