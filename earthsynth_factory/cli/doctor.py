"""`doctor`: what this machine has, and what will not work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.say import say


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Look at this model alone: `earthsynth`, `embedded`, a folder, a file, a hub id; or an image."
        ),
    ] = None,
    controlnet: Annotated[str | None, typer.Argument(help="A ControlNet that is to go with it.")] = None,
) -> None:
    """Check what this machine has for a build. Exit 2 if something that it needs is missing.

    With a MODEL: what it is, whether its parts belong together and all of it loads, before a recipe names it. With a PNG or
    JPEG: whether it says that a model made it.
    """
    from earthsynth_factory.build.doctor import all_checks, image_checks, model_checks

    if model is None:
        checks = all_checks()
    elif model.lower().endswith((".png", ".jpg", ".jpeg")):
        checks = image_checks(Path(model))
    else:
        checks = model_checks(model, controlnet)
    for check in checks:
        say(f"{'ok  ' if check.ok else 'LACK'} {check.name}: {check.found}")
        if not check.ok:
            say(f"      {check.remedy}")
    if any(not check.ok and check.needed for check in checks):
        raise typer.Exit(2)
