"""Fill shards on an engine: what the workers tell is summed, and each session leaves a line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.build import rates
from earthsynth_factory.build.shards import BuildEvent, ShardTask, SlotSettled, WorkerReady
from earthsynth_factory.engines.base import AtNode, Engine, Notice
from earthsynth_factory.engines.local import LocalEngine
from earthsynth_factory.engines.ray import RayEngine
from earthsynth_factory.errors import Interrupted
from earthsynth_factory.io.jsonl import append_line, open_to_append
from earthsynth_factory.io.log import log_file
from earthsynth_factory.io.signals import stop_on_signals
from earthsynth_factory.recipe.schema import Recipe

WAITS_FOR = "waiting for shards that others have or had; who gives no sign of life for three minutes is dead"

Watch = Callable[[BuildEvent | AtNode], None]
"""Called in the main thread with what was settled before, and everything the workers report; those of a cluster with the
machine that they are on."""


@dataclass
class BuildTally:
    """What this session did so far.

    reasons: what refused images → how many. made, passed: class id (None: negatives) → images made, and those of
    them that every rule passed. facts: of the first worker. notes: what the image models noted on the way, each once.
    nodes: machine of a cluster → images made there.
    """

    accepted: int = 0
    short: int = 0
    images: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    made: Counter[int | None] = field(default_factory=Counter)
    passed: Counter[int | None] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    nodes: Counter[str] = field(default_factory=Counter)

    def add(self, event: BuildEvent | AtNode) -> None:
        if isinstance(event, AtNode):
            before = self.images
            self.add(event.told)
            self.nodes[event.node] += self.images - before
            return
        if isinstance(event, WorkerReady):
            self.facts = self.facts or dict(event.facts)
            self.notes |= dict.fromkeys(event.notes)
        if not isinstance(event, SlotSettled):
            return
        self.accepted += event.accepted
        self.short += not event.accepted
        self.images += event.images
        self.made[event.category] += event.images
        self.passed[event.category] += event.passed
        self.reasons.update(reason.rule for reason in event.reasons)


@dataclass(frozen=True)
class Listeners:
    """Whom a build tells what. watch: every event. tell: sentences for a person at the terminal. described: what the models
    of the first worker are, before an image is asked of them.
    """

    watch: Watch
    tell: Callable[[str], None]
    described: Callable[[dict[str, Any]], None]


def fill_shards(task: ShardTask, shards: Iterable[int], count: int, sessions: Path, listeners: Listeners) -> list[str]:
    """Fill these shards; what was noted on the way. count: how many there are at first. sessions: file for a line about it.

    Raises Interrupted after Ctrl-C, and whatever a stage raises.
    """
    tally, started = BuildTally(), time.monotonic()

    def report(event: Any) -> None:
        told = event.told if isinstance(event, AtNode) else event
        if isinstance(told, Notice):
            listeners.tell(told.text)
            return
        if isinstance(told, WorkerReady) and not tally.facts:
            listeners.described(dict(told.facts))
        tally.add(event)
        listeners.watch(event)

    engine = _engine(task.recipe, count)
    with log_file(task.log), stop_on_signals(lambda: listeners.tell(_finishing(tally))) as stop:
        try:
            engine.run(task, shards, report, stop)
        finally:
            _log_session(sessions, tally, time.monotonic() - started, engine.workers)
    if stop.is_set():
        raise Interrupted(f"stopped with everything kept; run the same command again to go on in {task.out}")
    rates.remember(task.recipe, tally.facts, tally.images, time.monotonic() - started)
    return list(tally.notes)


def _finishing(tally: BuildTally) -> str:
    """What the first Ctrl-C is answered with."""
    batch = tally.facts.get("synthesis", {}).get("batch")
    what = f"finishing {batch} images" if batch else "finishing what is in progress"
    return f"{what}; Ctrl-C again stops now"


def _engine(recipe: Recipe, shards: int) -> Engine:
    """The recipe's engine, for this many shards."""
    block = recipe.engine
    if block.kind == "local":
        return LocalEngine.of(block.device, block.workers, shards)
    workers = None if block.workers == "auto" else block.workers
    gpus = 0.0 if block.device == "cpu" else 1.0 if block.gpus is None else block.gpus
    return RayEngine(block.address or "auto", workers, gpus, block.device, shards, WAITS_FOR)


def _log_session(path: Path, tally: BuildTally, seconds: float, workers: int | None) -> None:
    """A line of `sessions.jsonl`: times and rates, which differ from run to run and so stay out of `run.json`.

    workers: None for as many as a cluster had room for.
    """
    line = {
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 2),
        "workers": workers,
        **({"nodes": dict(sorted(tally.nodes.items()))} if tally.nodes else {}),
        "images": tally.images,
        "accepted": tally.accepted,
        "short": tally.short,
        "rejected_by": dict(sorted(tally.reasons.items())),
        "notes": list(tally.notes),
    }
    with open_to_append(path) as file:
        append_line(file, orjson.dumps(line) + b"\n", path)
