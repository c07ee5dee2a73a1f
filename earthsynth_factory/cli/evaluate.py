"""`evaluate`: does a dataset make a model better, by how much, and how sure is that?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earthsynth_factory.cli.opening import opening
from earthsynth_factory.cli.say import say

if TYPE_CHECKING:
    from earthsynth_factory.evaluation.spec import EvaluationRecipe


class TaskChoice(StrEnum):
    """What a model learns."""

    segment = "segment"
    detect = "detect"
    classify = "classify"


class BudgetChoice(StrEnum):
    """How large a run is."""

    quick = "quick"
    full = "full"


def evaluate(
    recipe: Annotated[
        Path | None, typer.Argument(help="All of it in a YAML file; options given beside it win.")
    ] = None,
    real: Annotated[Path | None, typer.Option(help="Real images with a test split, prepared or built.")] = None,
    synthetic: Annotated[list[Path] | None, typer.Option(help="The dataset to judge. May be repeated.")] = None,
    task: Annotated[TaskChoice | None, typer.Option(help="What the model learns.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the runs and the result.")] = Path(
        "out/evaluation"
    ),
    budget: Annotated[BudgetChoice | None, typer.Option(help="Size of a run. [default: quick]")] = None,
    arms: Annotated[str | None, typer.Option(help="By comma: real,augmented,synthetic,noise,two-streams,…")] = None,
    seeds: Annotated[int | None, typer.Option(help="Paired runs of every arm. [default: 4]")] = None,
    shares: Annotated[str | None, typer.Option(help="Parts of the real images: 0.05,0.1,0.25,1. [default: 1]")] = None,
    dose: Annotated[float | None, typer.Option(help="Synthetic images for every real one. [default: 1]")] = None,
    doses: Annotated[str | None, typer.Option(help="Curve of doses, chosen on val: 0,0.25,0.5,1,2,4.")] = None,
    compare: Annotated[Path | None, typer.Option(help="Another dataset or evaluation to judge it against.")] = None,
    trainer: Annotated[
        str | None, typer.Option(help="Your own trainer: 'python mine.py {data} {seed} {out}'; writes metrics.json.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="Of the data for --trainer.")] = "coco",
    metric: Annotated[str | None, typer.Option(help="Which number of metrics.json counts.")] = None,
    percent: Annotated[bool, typer.Option("--percent", help="The trainer's numbers are 0 to 100.")] = False,
    backbone: Annotated[str | None, typer.Option(help="resnet18, timm:NAME, … [default: EfficientNet-Lite0]")] = None,
    weights: Annotated[str | None, typer.Option(help="none, imagenet, or a safetensors file.")] = None,
    side: Annotated[int | None, typer.Option(help="Pixels an image is brought to. [default: the budget's]")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of a run. [default: the budget's]")] = None,
    allow_leaks: Annotated[bool, typer.Option("--allow-leaks", help="Go on though real splits leak.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, … [default: cpu]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time, GPUs in turn; by default one a core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Say whether a dataset helps a model that learns from it. Trained with and without it, equal in all else."""
    with opening():
        from earthsynth_factory.evaluation.run import evaluate as run

    own = {"command": trainer, "format": format_, "metric": metric, "percent": percent} if trainer else None
    model = {key: value for key, value in (("backbone", backbone), ("weights", weights)) if value is not None}
    given: dict[str, Any] = {
        "real": real and _place(real),
        "synthetic": list(map(_place, synthetic)) if synthetic else None,
        "task": task and task.value,
        "budget": budget and budget.value,
        "arms": arms.split(",") if arms else None,
        "seeds": seeds,
        "shares": _numbers("--shares", shares),
        "dose": dose,
        "doses": _numbers("--doses", doses),
        "compare": compare and _place(compare),
        "trainer": own,
        "model": model or None,
        "side": side,
        "steps": steps,
        "allow_leaks": allow_leaks or None,
        "device": device,
        "workers": workers,
    }
    asked = _recipe(recipe, {key: value for key, value in given.items() if value is not None})
    with _events() as events:
        result = run(asked, out, events)
    _tell(result, as_json)


def _recipe(path: Path | None, given: dict[str, Any]) -> EvaluationRecipe:
    from earthsynth_factory.evaluation.load import load

    return load(path, given)


def _place(path: Path) -> str:
    """A folder wherever the command is run: its address in an object store, or its absolute path. Raises InputError."""
    from earthsynth_factory.io.objects import ObjectAddress

    return str(ObjectAddress.of(path) or path.absolute())


def _numbers(option: str, text: str | None) -> list[float] | None:
    from earthsynth_factory.errors import InputError

    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: write numbers with commas between, such as 0.25,0.5,1") from None


def _events() -> Any:
    from earthsynth_factory.cli.progress import evaluation_progress

    return evaluation_progress()


def _tell(result: Path, as_json: bool) -> None:
    import orjson

    from earthsynth_factory.evaluation.card import NAMES, row

    text = result.read_bytes()
    if as_json:
        say(text.decode(), nl=False)
        return
    document = orjson.loads(text)
    for share in document["shares"]:
        say(f"{share['real_images']} real images, {document['metric']}:")
        for arm in share["arms"]:
            say("  " + "  ".join(row(document, arm)))
        for arm in share["arms"]:
            if "verdict" in arm:
                say(f"{NAMES[arm['arm']]}: {arm['verdict']}")
        for found in (share.get("dose_curve"), share.get("against_compared")):
            if found:
                say(found["verdict"])
    for line in [*document["warnings"], *document["notes"]]:
        say(line, err=True)
    say(f"Look at it:  {result.parent / 'index.html'}")
