"""`plan RECIPE`: what a recipe would make, and what that would cost, before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earthsynth_factory.cli.say import say

if TYPE_CHECKING:
    from earthsynth_factory.build.plan import Plan
    from earthsynth_factory.recipe.schema import Recipe


def plan(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key: a.b=3. May be repeated.")] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Make a few images to measure the rate (loads the model).")
    ] = False,
    allow_plugins: Annotated[
        bool, typer.Option("--allow-plugins", help="Import the plug-ins it names, whose code then runs.")
    ] = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="Print a script for sbatch instead.")] = False,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="Print an indexed Job instead.")] = False,
    tasks: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, help="With --slurm and --kubernetes: tasks. [default: up to 64]", show_default=False
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="With them: folder that all tasks share; by default out/<recipe's name>."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
) -> None:
    """Show what a recipe would make, and what that would cost.

    Images by class and split, time and disk; and what in the recipe is doubtful.

    No model is loaded without --probe. With --slurm or --kubernetes a ready job is printed instead, its time, memory and
    number of tasks from the plan.
    """
    from earthsynth_factory.build import rates
    from earthsynth_factory.build.plan import Plan, estimate
    from earthsynth_factory.build.preflight import check
    from earthsynth_factory.cli.guard import say_warnings
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.recipe.load import load_recipe

    if (slurm and kubernetes) or ((tasks or out) and not (slurm or kubernetes)):
        raise InputError("--slurm or --kubernetes, one of them; --tasks and --out go with either")
    loaded = load_recipe(recipe, changes or [], allow_plugins)
    warnings = check(loaded)
    say_warnings(() if as_json else warnings)
    made = Plan.of(loaded.recipe)
    if probe:
        say("drawing a few images to measure the rate …", err=True)
    rate = rates.measure(loaded.recipe, loaded.base) if probe else rates.recall(loaded.recipe)
    cost = estimate(made, loaded.recipe, rate)
    if slurm or kubernetes:
        from earthsynth_factory.build.sharing.jobs import Job, kubernetes_job, slurm_script

        job = Job.of(loaded, made, cost, recipe, out or Path("out") / recipe.stem, changes or [], tasks)
        say(slurm_script(job) if slurm else kubernetes_job(job), nl=False)
        return
    facts = {
        "name": loaded.recipe.name,
        "images": len(made),
        "pairs": loaded.recipe.pairs,
        "table": plan_table(loaded.recipe, made),
        "images_to_make": cost.images,
        "bytes": cost.bytes,
        "images_per_second": rate,
        "seconds": cost.seconds,
        "warnings": warnings,
    }
    _print(facts, made.splits, as_json)


def plan_table(recipe: Recipe, plan: Plan) -> list[dict[str, Any]]:
    """A row for each category in the recipe's order, then negatives: id, name, images by split."""
    taxonomy = recipe.taxonomy()
    rows: dict[int | None, dict[str, int]] = {category: {} for category in recipe.targets()}
    for category, split, count in plan.needs():
        rows.setdefault(category, {})[split] = count
    return [
        {
            "id": category,
            "name": taxonomy.asked_for(category),
            "splits": {split: counts.get(split, 0) for split in plan.splits},
        }
        for category, counts in rows.items()
    ]


def _print(facts: dict[str, Any], splits: tuple[str, ...], as_json: bool) -> None:
    import json

    if as_json:
        say(json.dumps(facts))
        return
    from rich.console import Console

    from earthsynth_factory.io.printable import readable_size

    console = Console()
    console.print(_grid(facts, splits))
    twins = f", {facts['pairs']} of them the second of a counterfactual pair" if facts["pairs"] else ""
    console.print(
        f"{facts['images']} images{twins}; at least {facts['images_to_make']} to make; "
        f"{readable_size(facts['bytes'])} on disk, exports not counted",
        highlight=False,
    )
    if facts["seconds"] is None:
        console.print("time: no rate is known for this model and size here; --probe measures one", highlight=False)
    else:
        console.print(
            f"time: at least {_duration(facts['seconds'])} at {facts['images_per_second']:.3g} images/s",
            highlight=False,
        )


def _grid(facts: dict[str, Any], splits: tuple[str, ...]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from earthsynth_factory.io.printable import one_line

    grid = Table(title=escape(one_line(facts["name"])), box=box.SIMPLE, title_justify="left", show_footer=True)
    grid.add_column("id", justify="right")
    grid.add_column("class", footer="all")
    for split in splits:
        grid.add_column(escape(split), justify="right", footer=str(sum(row["splits"][split] for row in facts["table"])))
    grid.add_column("all", justify="right", footer=str(facts["images"] - facts["pairs"]))
    for row in facts["table"]:
        numbers = [row["splits"][split] for split in splits]
        grid.add_row(
            "" if row["id"] is None else str(row["id"]),
            escape(one_line(row["name"])),
            *map(str, [*numbers, sum(numbers)]),
        )
    return grid


def _duration(seconds: float) -> str:
    """Seconds as days, hours, minutes or seconds, the two largest that count."""
    whole = round(seconds)
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    parts = []
    for name, length in units:
        if whole >= length:
            parts.append(f"{whole // length} {name}")
            whole %= length
    return " ".join(parts[:2]) or "1 s"
