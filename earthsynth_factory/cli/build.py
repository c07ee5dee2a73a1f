"""`build RECIPE`: make the dataset, or go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from earthsynth_factory.cli.say import say


def build(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Output folder; by default out/<recipe's name>.")
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key: a.b=3. May be repeated.")] = None,
    counterfactual: Annotated[
        float | None,
        typer.Option(help="Share of the images that get a second one, equal but for one object.", show_default=False),
    ] = None,
    keep_rejects: Annotated[bool, typer.Option(help="Keep the images of rejected candidates.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare what is finished with its digests; make again what differs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Make the dataset of a recipe, or go on with it. After a kill, the same command goes on where it stopped."""
    from earthsynth_factory.build.run import build as run_build
    from earthsynth_factory.build.run import raise_shortfall
    from earthsynth_factory.cli.progress import BuildProgress
    from earthsynth_factory.recipe.load import load_recipe

    pairs = [] if counterfactual is None else [f"counterfactual.share={counterfactual}"]
    loaded = load_recipe(recipe, [*(changes or []), *pairs], plugins=True)
    folder = out or Path("out") / recipe.stem
    with BuildProgress(loaded.recipe, folder) as progress:
        result = run_build(
            loaded,
            folder,
            keep_rejects=keep_rejects,
            verify=verify,
            watch=progress.watch,
            warn=lambda line: progress.say(f"warning: {line}"),
            tell=progress.say,
        )
    _print(
        {
            "out": str(result.out),
            "accepted": result.accepted,
            "asked": result.asked,
            "rejected_by": result.reasons,
            "short": [{"class": name, "split": split, "images": n} for (name, split), n in result.short.items()],
            "notes": list(result.notes),
        },
        as_json,
    )
    raise_shortfall(result)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        import json

        say(json.dumps(result))
        return
    say(f"{result['accepted']} of {result['asked']} images in {result['out']}")
    for reason, count in result["rejected_by"].items():
        say(f"  not kept: {count}× {reason}")
    for note in result["notes"]:
        say(f"  note: {note}")
    say(f"Look at it:  {result['out']}/report/index.html")
    say(f"Read about it:  {result['out']}/README.md")
