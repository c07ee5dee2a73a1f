"""Images a second, measured or remembered from build to build, so that a plan can say how long it will take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Slot
from earthsynth_factory.errors import DiskError, NoCondition, SourceError
from earthsynth_factory.io.atomic import write_json
from earthsynth_factory.io.cache import cache_folder
from earthsynth_factory.recipe.schema import Recipe

LEAST_IMAGES = 8
"""Shorter sessions say more about loading than about the rate."""

TRIED_SLOTS = 256
"""Slots that may be asked for conditions before a measurement gives up."""


def remember(recipe: Recipe, facts: Mapping[str, Any], images: int, seconds: float) -> None:
    """Keep the rate of a session that made enough images. A cache that cannot be written is no fault."""
    if images >= LEAST_IMAGES and facts:
        with suppress(DiskError):
            write_json(_path(), {**_all(), key(recipe): round(images / seconds, 4)})


def recall(recipe: Recipe) -> float | None:
    """Images a second of the last build with this generator and image size on this machine, if any."""
    rate = _all().get(key(recipe))
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def key(recipe: Recipe) -> str:
    """What the rate depends on: the generator's block, the image size and who works."""
    block = recipe.synthesis.model_dump_json(exclude_none=True)
    engine = recipe.engine
    where = engine.device if engine.kind == "local" else f"{engine.kind} {engine.device} {engine.gpus}"
    return f"{block} {recipe.image.height}x{recipe.image.width} {where}×{engine.workers}"


def _path() -> Path:
    return cache_folder() / "rates.json"


def _all() -> dict[str, Any]:
    try:
        found = orjson.loads(_path().read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def measure(recipe: Recipe, base: Path) -> float:
    """Images per second of one worker: two batches, drawn, made and judged, after one that warms up.

    Loads the models. base: the folder that relative paths of the recipe start from. Raises SourceError if no
    condition can be drawn, ModelError if a model is missing.
    """
    pipeline = Pipeline.of(recipe, base, recipe.engine.device)
    pipeline.open()
    batch = pipeline.generator.batch
    drawn = _conditions(pipeline, Plan.of(recipe), 3 * batch)
    _make(pipeline, drawn[:batch])
    rest = drawn[batch:] or drawn
    started = time.perf_counter()
    for start in range(0, len(rest), batch):
        _make(pipeline, rest[start : start + batch])
    return len(rest) / (time.perf_counter() - started)


def _make(pipeline: Pipeline, drawn: list[tuple[Slot, Condition]]) -> None:
    slots, conditions = zip(*drawn, strict=True)
    pipeline.judge(pipeline.synthesise(slots, [0] * len(slots), conditions))


def _conditions(pipeline: Pipeline, plan: Plan, count: int) -> list[tuple[Slot, Condition]]:
    """Up to `count` slots with a condition each; at least one."""
    found: list[tuple[Slot, Condition]] = []
    reason = ""
    for slot in islice(map(plan.slot, range(len(plan))), TRIED_SLOTS):
        try:
            found.append((slot, pipeline.draw(slot, 0)))
        except NoCondition as error:
            reason = str(error)
        if len(found) == count:
            break
    if not found:
        raise SourceError(f"no condition could be drawn for the first images: {reason}")
    return found
