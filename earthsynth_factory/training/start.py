"""What both command lines call: a training from its recipe, and pictures of composed batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from earthsynth_factory.errors import InputError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.recipe.load import load_block
from earthsynth_factory.report.sheets import grid, to_png
from earthsynth_factory.training.cf_comp.preview import tile
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe

PER_PAGE = 8
"""Composed samples on one picture."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line says beside the recipe."""

    out: Path | None = None
    changes: Sequence[str] = ()
    resume: bool = False
    export_only: bool = False
    preview: int = 0


def start(path: Path, options: Options) -> Path:
    """Trains what the recipe in `path` describes; gives the folder of the models, or of the pictures.

    Raises RecipeError with all faults of the recipe, Interrupted when stopped, and what the trainer raises.
    """
    recipe = load_block(path, lambda _: ControlNetRecipe, options.changes)
    out = options.out or Path("out") / path.stem
    folder = path.resolve().parent
    if options.preview:
        return preview_cf_comp(recipe, folder, out, options.preview)
    from earthsynth_factory.training.controlnet.run import train_controlnet

    return train_controlnet(recipe, folder, out, options.resume, options.export_only)


def preview_cf_comp(recipe: ControlNetRecipe, recipe_folder: Path, out: Path, count: int) -> Path:
    """Pictures of the first `count` composed samples of a run, and their choices, in OUT/preview-cf-comp; no model needed.

    Raises InputError if the recipe composes nothing.
    """
    from earthsynth_factory.training.controlnet.setup import open_batches

    batches = open_batches(recipe, recipe_folder, out)
    if not batches.composed:
        raise InputError(f"cf_comp.mode {recipe.cf_comp.mode!r}, batch {recipe.optim.batch}: nothing is composed")
    passes = -(-count // batches.composed)
    drawn = [batches.at(number * batches.stride) for number in range(passes)]
    composed = [one for batch in drawn for one in batch.composed][:count]
    folder = out / "preview-cf-comp"
    for first in range(0, len(composed), PER_PAGE):
        tiles = [tile(one, batches.dataset.taxonomy) for one in composed[first : first + PER_PAGE]]
        write_bytes(folder / f"{first // PER_PAGE:03d}.png", to_png(grid(tiles, 1)))
    choices = [choice for batch in drawn for choice in batch.choices(batches.dataset)][:count]
    write_bytes(folder / "choices.jsonl", b"".join(orjson.dumps(choice) + b"\n" for choice in choices))
    return folder
