"""`build RECIPE`: make the dataset, or go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earthsynth_factory.cli.opening import opening
from earthsynth_factory.cli.say import say

if TYPE_CHECKING:
    from earthsynth_factory.build.sharing.share import Share
    from earthsynth_factory.build.working_copy import WorkingCopy
    from earthsynth_factory.cli.progress import BuildProgress
    from earthsynth_factory.recipe.load import LoadedRecipe
    from earthsynth_factory.recipe.schema import Recipe


def build(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Output folder, or s3://…; by default out/<recipe's name>."),
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
    shard: Annotated[
        str | None,
        typer.Option(
            help="One of several tasks in one folder: its share, such as 3/64, or env to ask the job's scheduler.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Make the dataset of a recipe, or go on with it. After a kill, the same command goes on where it stopped.

    With --shard any number of machines work into one folder; the last one, or the same command without it, finishes.
    """
    with opening():
        from earthsynth_factory.build.run import build as run_build
        from earthsynth_factory.build.run import raise_shortfall
        from earthsynth_factory.build.working_copy import working_copy
        from earthsynth_factory.cli.progress import BuildProgress
        from earthsynth_factory.errors import FolderInUse
        from earthsynth_factory.io.objects import ObjectAddress
        from earthsynth_factory.recipe.load import load_recipe

        pairs = [] if counterfactual is None else [f"counterfactual.share={counterfactual}"]
        loaded = load_recipe(recipe, [*(changes or []), *pairs], plugins=True)
    share = _share(shard, verify, loaded.recipe)
    folder = out or Path("out") / recipe.stem
    shown = ObjectAddress.of(folder) or folder
    with BuildProgress(loaded.recipe, shown) as progress, working_copy(folder, share, progress.say) as copy:
        if share and not _build_share(loaded, copy, share, keep_rejects, progress, as_json):
            return
        try:
            result = run_build(
                loaded,
                copy.folder,
                keep_rejects=keep_rejects,
                verify=verify,
                watch=progress.watch,
                warn=lambda line: progress.say(f"warning: {line}"),
                tell=progress.say,
            )
        except FolderInUse:
            if share is None:
                raise
            say(f"share {share}: done, and so is the whole folder; another task is finishing it")
            return
    _print(
        {
            "out": str(shown),
            "accepted": result.accepted,
            "asked": result.asked,
            "rejected_by": result.reasons,
            "short": [{"class": name, "split": split, "images": n} for (name, split), n in result.short.items()],
            "notes": list(result.notes),
        },
        as_json,
    )
    raise_shortfall(result)


def _share(given: str | None, verify: bool, recipe: Recipe) -> Share | None:
    """Raises InputError."""
    import os

    from earthsynth_factory.build.sharing.share import parse_share
    from earthsynth_factory.errors import InputError

    if given is None:
        return None
    if verify:
        raise InputError("--verify looks at the whole folder; give it without --shard, once the tasks are done")
    if recipe.engine.kind != "local":
        raise InputError(
            "--shard: an engine of `kind: ray` deals out shards itself; leave --shard out, or give --set engine.kind=local"
        )
    return parse_share(given, os.environ)


def _build_share(
    loaded: LoadedRecipe, copy: WorkingCopy, share: Share, keep_rejects: bool, progress: BuildProgress, as_json: bool
) -> bool:
    """Make a share, and say what became of it; whether the whole folder is made and nobody finishes it yet."""
    import json

    from earthsynth_factory.build.sharing.run import build_share

    result = build_share(
        loaded,
        copy.folder,
        share,
        keep_rejects=keep_rejects,
        watch=progress.watch,
        warn=lambda line: progress.say(f"warning: {line}"),
        tell=progress.say,
    )
    left = copy.left(result.left)
    if not left:
        return True
    if as_json:
        facts = {"share": [share.number, share.count], "shards": result.own, "done": result.done, "left": left}
        say(json.dumps({"out": str(copy.folder), **facts, "notes": list(result.notes)}))
        return False
    say(f"share {share}: {result.done} of its {result.own} shards are done; {left} of the folder are not yet")
    for note in result.notes:
        say(f"  note: {note}")
    say(
        "Whoever makes the last one finishes the dataset; so does this command without --shard, once no task is at work."
    )
    return False


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
