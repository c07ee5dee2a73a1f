"""An evaluation from recipe to result. Finished runs are kept: the same command goes on after a kill, with equal results."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.evaluation.backbones import resolved
from earthsynth_factory.evaluation.classes import evaluated_classes
from earthsynth_factory.evaluation.members import COMPARED, SYNTHETIC, TRAIN, gather
from earthsynth_factory.evaluation.plan import Run, runs_of
from earthsynth_factory.evaluation.pool import Pool, PoolOptions, write_pool
from earthsynth_factory.evaluation.record import finished_runs, note_run
from earthsynth_factory.evaluation.result import write_result
from earthsynth_factory.evaluation.result_folder import FOLDERS, ResultFolder, read_object
from earthsynth_factory.evaluation.session import Evaluation, Events
from earthsynth_factory.evaluation.spec import EvaluationRecipe, NetworkSpec
from earthsynth_factory.evaluation.trainer import check_trainer, train_outside
from earthsynth_factory.evaluation.training_run import Settings, train_run
from earthsynth_factory.evaluation.workers import RunTask, make_runs, one_thread
from earthsynth_factory.io.atomic import write_json
from earthsynth_factory.io.claim import claimed, digest_of

VERSION = 1
"""Changes whenever the same settings would give other runs."""

UNTRAINED = (
    "the network begins untrained, which so few steps do not make up for: small effects stay unseen. "
    "pip install 'earthsynth-factory[evaluate]' brings weights that know pictures"
)

TIMED_STEPS = 4
"""Steps that are timed beforehand, after one that is not."""

CROWDED = 1.25
"""How much slower runs are taken to be beside one another than alone, until the first of them are made."""


def evaluate(recipe: EvaluationRecipe, out: Path, events: Events) -> Path:
    """Make all runs that are not made yet, and write the result; gives where the result lies.

    Raises InputError if data cannot be compared, StoreError if `out` holds another evaluation, Interrupted when
    stopped.
    """
    if recipe.trainer is not None:
        check_trainer(recipe.trainer)
    with claimed(out, "evaluate", {}, folders=FOLDERS, same=False) as claim:
        claim.begin()
        evaluation = open_evaluation(recipe, ResultFolder(out), events)
        if recipe.trainer is not None:
            train_outside(evaluation, events)
        else:
            _train(evaluation, events)
        return write_result(evaluation)


def open_evaluation(recipe: EvaluationRecipe, folder: ResultFolder, events: Events) -> Evaluation:
    """The data read, the runs listed, the folder claimed. Raises as `evaluate`."""
    events.say("reading and comparing the images")
    members = gather(recipe, events.read)
    classes, budget = evaluated_classes(members, recipe.task), recipe.budgeted()
    real = len(members.records[TRAIN])
    made = {part: len(members.records[part]) / real for part in (SYNTHETIC, COMPARED)}
    most = min(made[SYNTHETIC], made[COMPARED]) if recipe.compare else made[SYNTHETIC]
    runs = runs_of(recipe, most)
    options = PoolOptions(budget.side, budget.held_out, recipe.seed)
    pool = write_pool(folder.pool, members, classes, options, events.read)
    settings = Settings(recipe.task, budget, resolved(recipe.model), recipe.seed, recipe.device)
    key = _claim(folder, recipe, settings, pool)
    return Evaluation(recipe, folder, members, pool, settings, runs, key)


def _claim(folder: ResultFolder, recipe: EvaluationRecipe, settings: Settings, pool: Pool) -> str:
    """Digest of what every run depends on. Raises StoreError if the folder was begun with anything else."""
    trainer = recipe.trainer.model_dump(mode="json") if recipe.trainer else None
    facts = {
        "version": VERSION,
        "task": settings.task,
        "budget": settings.budget.model_dump(),
        "model": settings.model.model_dump(),
        "seed": settings.seed,
        "trainer": trainer,
        "images": pool.digest,
    }
    facts = orjson.loads(orjson.dumps(facts))
    if folder.settings.is_file():
        found = read_object(folder.settings)
        differing = [name for name in facts if found.get(name) != facts[name]]
        if differing:
            raise StoreError(
                f"{folder.root}: holds an evaluation with other {', '.join(differing)}; choose another --out, or give the "
                "same settings and data (arms, seeds, shares and doses may be added)"
            )
    write_json(folder.settings, facts)
    return digest_of(facts)


def _train(evaluation: Evaluation, events: Events) -> None:
    done = finished_runs(evaluation.folder, evaluation.runs)
    missing = [run for run in evaluation.runs if run not in done]
    workers = evaluation.recipe.workers or cores()
    if done:
        events.say(f"{len(done)} of {len(evaluation.runs)} runs are finished already; going on")
    if not missing:
        return
    if evaluation.recipe.model == NetworkSpec() and evaluation.settings.model.weights == "none":
        events.say(UNTRAINED)
    alone = time_a_run(evaluation.pool, evaluation.settings, missing[0])
    clock = _Clock(evaluation.folder, events, len(evaluation.runs), len(done), min(workers, len(missing)), alone)
    events.say(_announcement(evaluation, len(missing), clock))
    task = RunTask(evaluation.folder.root, evaluation.settings, evaluation.key)
    make_runs(task, missing, workers, clock.ran)


def _announcement(evaluation: Evaluation, missing: int, clock: _Clock) -> str:
    budget, counts = evaluation.settings.budget, evaluation.members.records
    arms = ", ".join(dict.fromkeys(run.arm for run in evaluation.runs))
    return (
        f"{missing} runs of {budget.steps} steps of {budget.batch} images at {budget.side} pixels ({arms}; "
        f"{evaluation.recipe.seeds} seeds) on {len(counts[TRAIN])} real and {len(counts[SYNTHETIC])} synthetic images, "
        f"{evaluation.settings.model.backbone}; about {clock.left() / 60:.0f} min, {clock.workers} at a time"
    )


class _Clock:
    """Time left: by the timed steps at first, then by the runs that were made."""

    def __init__(self, folder: ResultFolder, events: Events, total: int, done: int, workers: int, alone: float) -> None:
        self._folder, self._events, self._total, self._done, self.workers = folder, events, total, done, workers
        self._made, self._start = 0, time.monotonic()
        self._expected = alone * (CROWDED if workers > 1 else 1.0)

    def ran(self, run: Run, seconds: float) -> None:
        """A run is done."""
        note_run(self._folder, run, seconds)
        self._made += 1
        self._events.ran(self._done + self._made, self._total, self.left())

    def left(self) -> float:
        """Seconds."""
        open_runs = self._total - self._done - self._made
        if not self._made:
            return self._expected * -(-open_runs // self.workers)
        return (time.monotonic() - self._start) / self._made * open_runs


def time_a_run(pool: Pool, settings: Settings, run: Run) -> float:
    """Seconds that a run will take here, by a few of its steps and a part of its held-out images."""
    short = settings.budget.model_copy(update={"steps": TIMED_STEPS + 1})
    moments: list[float] = []
    with one_thread():
        start = time.monotonic()
        train_run(pool, replace(settings, budget=short), run, lambda _: moments.append(time.monotonic()))
        end = time.monotonic()
    a_step = (moments[-1] - moments[0]) / TIMED_STEPS
    return (moments[0] - start) + a_step * (settings.budget.steps - 1) + (end - moments[-1])


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
