"""How fast a recipe's images are made here: a few of them, made and thrown away."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

from earthsynth_factory.build.pipeline import Line
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Slot
from earthsynth_factory.errors import NoCondition, SourceError
from earthsynth_factory.recipe.schema import Recipe

TRIED_SLOTS = 256
"""Slots that may be asked for conditions before the probe gives up."""


def measure(recipe: Recipe, base: Path) -> float:
    """Images per second of one worker: two batches, drawn, made and judged, after one that warms up.

    Loads the models. base: the folder that relative paths of the recipe start from. Raises SourceError where no
    condition can be drawn, ModelError where a model lacks.
    """
    line = Line.of(recipe, base, recipe.engine.device)
    line.open()
    batch = line.generator.batch
    drawn = _conditions(line, Plan.of(recipe), 3 * batch)
    _make(line, drawn[:batch])
    rest = drawn[batch:] or drawn
    started = time.perf_counter()
    for start in range(0, len(rest), batch):
        _make(line, rest[start : start + batch])
    return len(rest) / (time.perf_counter() - started)


def _make(line: Line, drawn: list[tuple[Slot, Condition]]) -> None:
    slots, conditions = zip(*drawn, strict=True)
    line.judge(line.synthesise(slots, [0] * len(slots), conditions))


def _conditions(line: Line, plan: Plan, count: int) -> list[tuple[Slot, Condition]]:
    """Up to `count` slots with a condition each; at least one."""
    found: list[tuple[Slot, Condition]] = []
    reason = ""
    for slot in islice(map(plan.slot, range(len(plan))), TRIED_SLOTS):
        try:
            found.append((slot, line.draw(slot, 0)))
        except NoCondition as error:
            reason = str(error)
        if len(found) == count:
            break
    if not found:
        raise SourceError(f"no condition could be drawn for the first images: {reason}")
    return found
