"""What an evaluation works with while it runs: its data, its runs, its folder, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from earthsynth_factory.evaluation.members import Members
from earthsynth_factory.evaluation.plan import Run
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.result_folder import ResultFolder
from earthsynth_factory.evaluation.spec import EvaluationRecipe
from earthsynth_factory.evaluation.training_run import Settings


@dataclass(frozen=True)
class Events:
    """Who is told: a sentence; images read, of all; a run done, of all, with the seconds left."""

    say: Callable[[str], None] = lambda _: None
    read: Callable[[int], None] = lambda _: None
    ran: Callable[[int, int, float], None] = lambda *_: None


@dataclass(frozen=True)
class Evaluation:
    """What a finished evaluation is made of."""

    recipe: EvaluationRecipe
    folder: ResultFolder
    members: Members
    pool: Pool
    settings: Settings
    runs: list[Run]
    key: str


def runs_by_group(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of one arm, share and dose, by seed."""
    found: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        found.setdefault(run.group, []).append(run)
    return found
