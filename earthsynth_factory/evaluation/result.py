"""What an evaluation leaves for people and machines: evaluation.json, a page, and a block for the dataset card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earthsynth_factory import __version__
from earthsynth_factory.evaluation.card import evaluation_card
from earthsynth_factory.evaluation.likeness import likeness
from earthsynth_factory.evaluation.members import COMPARED, PARTS
from earthsynth_factory.evaluation.page import page
from earthsynth_factory.evaluation.record import read_looks, read_run, write_looks
from earthsynth_factory.evaluation.session import Evaluation, runs_by_group
from earthsynth_factory.evaluation.summary import Setting, Summary, as_plain
from earthsynth_factory.evaluation.verdict import verdict
from earthsynth_factory.io.atomic import write_bytes, write_json

FORMAT = "earthsynth-factory/evaluation"


def write_result(evaluation: Evaluation) -> Path:
    """Write all from the runs' files; gives where evaluation.json lies."""
    settings = {
        group: Setting(tuple(runs), tuple(read_run(evaluation.folder, run, evaluation.key) for run in runs))
        for group, runs in runs_by_group(evaluation.runs).items()
    }
    summary = Summary(evaluation.recipe, evaluation.pool, settings)
    document = _document(evaluation, summary)
    write_json(evaluation.folder.result, document)
    write_bytes(evaluation.folder.card, evaluation_card(document).encode())
    write_bytes(evaluation.folder.page, page(document, evaluation.pool, summary))
    return evaluation.folder.result


def _document(evaluation: Evaluation, summary: Summary) -> dict[str, Any]:
    recipe, pool, settings = evaluation.recipe, evaluation.pool, evaluation.settings
    every = [record for setting in summary.settings.values() for record in setting.records]
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "software": __version__,
        "task": recipe.task,
        "metric": summary.metric,
        "real": str(recipe.real),
        "synthetic": [str(path) for path in recipe.synthetic],
        "compared": None if recipe.compare is None else str(recipe.compare),
        "seeds": recipe.seeds,
        "seed": recipe.seed,
        "budget": {"name": recipe.budget, **settings.budget.model_dump()},
        "model": settings.model.model_dump(),
        "trainer": recipe.trainer.model_dump(mode="json") if recipe.trainer else None,
        "images": {part: len(evaluation.members.records[part]) for part in PARTS},
        "looked_at": {part: len(pool.of(part)) for part in ("val", "test")},
        "test_units": {"count": summary.scenes, "are": "images" if summary.by_image else "scenes"},
        "classes": {
            "names": list(pool.classes.names),
            "judged": [pool.classes.names[column - 1] for column in pool.classes.judged],
            "rare": [pool.classes.names[column - 1] for column in pool.classes.rare],
        },
        "notes": [*evaluation.members.notes, *pool.classes.notes],
        "warnings": list(evaluation.members.warnings),
        "training_seconds": round(sum(record["seconds"] for record in every), 1),
        "looks": _looks(evaluation),
        **summary.document(),
    }
    if COMPARED in {run.arm for run in evaluation.runs}:
        _compare(document, summary)
    return document


def _looks(evaluation: Evaluation) -> dict[str, Any] | None:
    """How made images look, computed once for a set of images: it takes as long as several runs."""
    known = read_looks(evaluation.folder, evaluation.key)
    if known is not None:
        return known
    found = likeness(evaluation.pool, evaluation.recipe.device, evaluation.recipe.seed)
    if found is not None:
        write_looks(evaluation.folder, found, evaluation.key)
    return found


def _compare(document: dict[str, Any], summary: Summary) -> None:
    """At every share: the synthetic dataset against the other one."""
    for found in document["shares"]:
        arms = {one["arm"]: f"{one['arm']}-{found['share']:g}-{one['dose']:g}" for one in found["arms"]}
        if {"synthetic", "compared"} <= arms.keys():
            gap = summary.difference(arms["compared"], arms["synthetic"])
            words = verdict(gap, summary.metric, summary.scenes, summary.by_image)
            found["against_compared"] = {**as_plain(gap), "verdict": f"beside the compared dataset: {words}"}
