"""`recipe init|from-gaps|validate|schema|categories|osm-rules`: write a recipe, and be told what is wrong with it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.say import say

app = typer.Typer(help="Write and check recipes.", no_args_is_help=True, rich_markup_mode=None)

Changes = Annotated[list[str] | None, typer.Option("--set", help="Change a key: a.b=3. May be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON on stdout.")]


class Purpose(StrEnum):
    """What a starter is for."""

    yolo = "yolo"
    rare_class = "rare-class"
    land_cover = "land-cover"
    own_masks = "own-masks"


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write; `-` for stdout.")] = Path("recipe.yaml"),
    purpose: Annotated[
        Purpose | None, typer.Option("--for", help="What it is for; a terminal is asked, else yolo.")
    ] = None,
) -> None:
    """Write a commented starter recipe. An existing file is never overwritten."""
    from earthsynth_factory.recipe.template import starter

    _put(path, starter(purpose or _asked(path), path.name if str(path) != "-" else "recipe.yaml"))


def _put(path: Path, text: str) -> None:
    """Write a new recipe, or print it. Raises InputError if the file exists, DiskError, StoreError."""
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.io.atomic import create_bytes

    if str(path) == "-":
        say(text, nl=False)
        return
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or name another place")
    try:
        create_bytes(path, text.encode())
    except FileExistsError:
        raise InputError(f"{path}: exists already; name another file") from None
    say(f"{path} written. Next: earthsynth-factory plan {path}")


def _asked(path: Path) -> Purpose:
    """What a person at a terminal wants it for; if nobody can answer, objects to detect."""
    import sys

    from earthsynth_factory.errors import InputError
    from earthsynth_factory.recipe.template import WHAT

    if str(path) == "-" or path.exists() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return Purpose.yolo
    answers = {str(number): purpose for number, purpose in enumerate(Purpose, start=1)}
    for number, purpose in answers.items():
        say(f"  {number}  {purpose.value}: {WHAT[purpose]}", err=True)
    given = typer.prompt("What is it for", default="1", err=True)
    found = answers.get(given) or next((one for one in Purpose if one.value == given), None)
    if found is None:
        raise InputError(f"{given!r}: answer with a number of the list, or give --for {'|'.join(Purpose)}")
    return found


@app.command()
def validate(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    changes: Changes = None,
    allow_plugins: Annotated[
        bool, typer.Option("--allow-plugins", help="Import the plug-ins it names, whose code then runs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a recipe: every fault with its place and remedy."""
    import json

    from earthsynth_factory.build.preflight import check
    from earthsynth_factory.cli.guard import say_warnings
    from earthsynth_factory.recipe.load import is_training, load_recipe
    from earthsynth_factory.recipe.reading import changed, read_recipe_text

    if is_training(changed(read_recipe_text(recipe), str(recipe), changes or []).data):
        _validate_training(recipe, changes or [], as_json)
        return
    loaded = load_recipe(recipe, changes or [], allow_plugins)
    found, warnings = loaded.recipe, check(loaded)
    if as_json:
        say(json.dumps({"valid": True, "warnings": warnings, "recipe": found.model_dump(mode="json")}))
        return
    say_warnings(warnings)
    say(f"{recipe}: valid; {found.images} images, {len(found.targets())} classes")


def _validate_training(recipe: Path, changes: list[str], as_json: bool) -> None:
    import json

    from earthsynth_factory.recipe.load import load_block
    from earthsynth_factory.training.controlnet.spec import ControlNetRecipe

    found = load_block(recipe, lambda _: ControlNetRecipe, changes)
    if as_json:
        say(json.dumps({"valid": True, "warnings": [], "recipe": found.model_dump(mode="json")}))
        return
    say(f"{recipe}: valid; a training of {found.optim.steps} steps: earthsynth-factory train {recipe}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    import json

    from earthsynth_factory.recipe.schema import json_schema

    say(json.dumps(json_schema(), indent=2))


@app.command()
def categories(
    words: Annotated[str, typer.Argument(help="Only names with this in them.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the built-in categories."""
    import json
    from dataclasses import asdict

    from earthsynth_factory.domain.taxonomy import earthsynth, normalise

    found = [category for category in earthsynth() if normalise(words) in normalise(category.name)]
    if as_json:
        say(json.dumps([asdict(category) for category in found]))
        return
    for category in found:
        color = "#{:02x}{:02x}{:02x}".format(*category.color)
        say(f"{category.id:3}  {color}  {'objects   ' if category.thing else 'land cover'}  {category.name}")
    if not found:
        near = earthsynth().nearest(words)
        say(f"none has {words!r} in its name" + (f"; near: {', '.join(near)}" if near else ""), err=True)


@app.command("from-gaps")
def from_gaps(
    real: Annotated[Path, typer.Option(help="The real images, prepared or built.")],
    evaluation: Annotated[Path | None, typer.Option(help="Folder of an `evaluate` on them.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="A model's COCO results on them, as `export --format coco` numbers the images.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; `-` for stdout.")] = Path("next.yaml"),
    count: Annotated[int, typer.Option(min=1, help="Images to make.")] = 200,
    model: Annotated[str, typer.Option(help="What makes the images.")] = "embedded",
) -> None:
    """Write a commented recipe of what a dataset lacks."""
    from earthsynth_factory.datasets.open import open_dataset
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.evaluation.gaps import Errors, errors_of_evaluation, errors_of_predictions, inventory
    from earthsynth_factory.evaluation.next_recipe import next_recipe

    if evaluation and predictions:
        raise InputError("--evaluation and --predictions: give one of them, they may contradict each other")
    dataset = open_dataset(real)
    found = inventory(dataset)
    errors: dict[str, Errors] = {}
    source = "scarcity alone: no errors are known"
    if evaluation:
        errors, source = errors_of_evaluation(evaluation)
    elif predictions:
        errors, source = errors_of_predictions(dataset, predictions)
    _put(out, next_recipe(found, errors, source, dataset.name, count, model))


@app.command("osm-rules")
def osm_rules() -> None:
    """Print the table of OpenStreetMap's tags. Changed, it may be named under `rules` of a `vector` source."""
    from earthsynth_factory.conditions.vector.rules import osm_table

    say(osm_table(), nl=False)
