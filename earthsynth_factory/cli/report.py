"""`report`: one HTML file about a dataset. `remake`: one image of a build again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.say import say, say_aside


def report(
    folder: Annotated[Path, typer.Argument(help="Output folder of a build or of `filter`, or a prepared dataset.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="By default <folder>/report/index.html.")] = None,
) -> None:
    """Write one HTML file about a folder of images. Counts, pictures kept and not, reasons, scores; it needs no network."""
    from earthsynth_factory.build.reporting import report_on
    from earthsynth_factory.io.mirror import local_copy

    with local_copy(folder, say_aside, writes=out is None) as at:
        say(str(report_on(at, out)))


def remake(
    folder: Annotated[Path, typer.Argument(help="Output folder of a build.")],
    slot: Annotated[int, typer.Argument(min=0, help="Number of the image, as its file is called: 12 or 0000012.")],
    attempt: Annotated[int | None, typer.Option(help="An attempt that was not kept. [default: the kept one]")] = None,
    base: Annotated[
        Path | None, typer.Option(help="Folder that the recipe's relative paths start from. [default: FOLDER]")
    ] = None,
    allow_plugins: Annotated[
        bool, typer.Option("--allow-plugins", help="Import the plug-ins it names, whose code then runs.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where image, mask and instance map are written.")] = Path(
        "remade"
    ),
) -> None:
    """Make one image of a build again from its seeds. Its mask and its instance map too."""
    from earthsynth_factory.build.remake import remake as make
    from earthsynth_factory.domain.plugins import plugins_allowed
    from earthsynth_factory.io.mirror import local_copy

    with plugins_allowed(allow_plugins), local_copy(folder, say_aside) as at:
        made = make(at, slot, attempt, base or at, device, out)
    for path in (made.image, made.mask, made.instances):
        say(str(path))
