"""Small runs of the ControlNet trainer: tiny random models, tiny scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import torch

from earthsynth_factory.training.controlnet.distributed import Team
from earthsynth_factory.training.controlnet.setup import TrainingSetup, open_run
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe

ALONE = Team(0, 1, torch.device("cpu"))


def recipe_of(base: Path | str, scenes: Path, **blocks: dict[str, Any]) -> ControlNetRecipe:
    """64 px, six samples a step (two composed), four steps, nothing drawn, a checkpoint every other step.

    At 32 px the tiny base would halve maps of 1 × 1, which bfloat16 on a CPU cannot be trusted with.
    """
    given: dict[str, dict[str, Any]] = {
        "data": {"path": str(scenes), "held_out": 0.3},
        "model": {"base": str(base)},
        "optim": {"steps": 4, "batch": 6, "lr": 1e-3, "warmup": 0},
        "validation": {"images": 0, "loss_samples": 0, "every": 1000},
        "run": {"device": "cpu", "loaders": 1, "save_every": 2, "trackers": []},
    }
    merged = {name: {**given.get(name, {}), **blocks.get(name, {})} for name in {*given, *blocks}}
    return ControlNetRecipe.model_validate({"name": "tiny", "seed": 3, "size": 64, **merged})


def setup_of(recipe: ControlNetRecipe, out: Path) -> TrainingSetup:
    return open_run(recipe, out, out, ALONE, lambda what, done, total: None)


def log_of(out: Path) -> list[dict[str, Any]]:
    """What a run noted, step by step."""
    return [orjson.loads(line) for line in (out / "log.jsonl").read_bytes().splitlines()]
