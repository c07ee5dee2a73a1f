"""`build`: a recipe and a folder in, a dataset out; and the same command again after a kill."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.build import rates
from earthsynth_factory.build.doubts import doubts_of, read_doubts
from earthsynth_factory.build.edit_sheet import edit_sheet
from earthsynth_factory.build.engines.local import LocalEngine
from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.preflight import check
from earthsynth_factory.build.preflight.model_fit import unknown_targets
from earthsynth_factory.build.reporting import report_on_build, report_path
from earthsynth_factory.build.run_record import new_record, resume_or_create
from earthsynth_factory.build.set_aside import settled_in
from earthsynth_factory.build.shards import BuildEvent, Resumed, ShardTask, SlotSettled, WorkerReady
from earthsynth_factory.build.topup import reopen_topped_up
from earthsynth_factory.build.verify import damages, reopen_damaged
from earthsynth_factory.datasets.build.layout import Layout
from earthsynth_factory.datasets.build.marker import Marker, read_marker
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.run_record import RunRecord
from earthsynth_factory.domain.outcome import NO_CONDITION
from earthsynth_factory.errors import Interrupted, Shortfall
from earthsynth_factory.exports.write import export
from earthsynth_factory.io.atomic import json_bytes, write_bytes, write_changed
from earthsynth_factory.io.claim import Claim, claimed, digest_of
from earthsynth_factory.io.jsonl import append_line, open_to_append
from earthsynth_factory.io.log import log_file
from earthsynth_factory.io.signals import stop_on_signals
from earthsynth_factory.recipe.fingerprint import fingerprint
from earthsynth_factory.recipe.load import LoadedRecipe
from earthsynth_factory.recipe.schema import Recipe
from earthsynth_factory.report.dataset_card import Counts, write_card

Watch = Callable[[BuildEvent], None]
"""Called in the main thread with what was settled before, and everything the workers report."""


@dataclass
class Tally:
    """What this session did so far.

    reasons: what refused images → how many. made, passed: class id (None: negatives) → images made, and those of
    them that every rule passed. facts: of the first worker. notes: what the image models noted on the way, each once.
    """

    accepted: int = 0
    short: int = 0
    images: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    made: Counter[int | None] = field(default_factory=Counter)
    passed: Counter[int | None] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def add(self, event: BuildEvent) -> None:
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
class BuildResult:
    """A finished build. short: (category name, split) → images that lack. reasons: why images of the whole folder were not
    kept → how many, the commonest first. notes: what is doubtful, what was lost on the way, and what exports could not
    hold. undrawn: category name → why no condition could be drawn for it.
    """

    out: Path
    accepted: int
    asked: int
    short: dict[tuple[str, str], int]
    reasons: dict[str, int]
    notes: tuple[str, ...]
    undrawn: dict[str, str]


def build(
    loaded: LoadedRecipe,
    out: Path,
    *,
    keep_rejects: bool = False,
    verify: bool = False,
    watch: Watch = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> BuildResult:
    """Make the dataset, or go on with it. Raises Interrupted after Ctrl-C, and whatever a stage raises.

    verify: compare the contents of committed shards with their digests, not only counts and sizes. warn: called before
    anything is made with each line about what is doubtful in the recipe. tell: called with what a person at the terminal
    should know at once.

    A build that ends with shortfalls is complete all the same; the caller decides what to make of `short`.
    """
    recipe, base = loaded.recipe, loaded.base
    for line_to_read in check(loaded, out, building=True):
        warn(line_to_read)
    pipeline = Pipeline.of(recipe, base, "cpu")
    identity = identity_of(recipe, pipeline, base)
    layout = Layout(out)
    with claimed(out, "build", {}, folders=("shards", "exports", "report"), ours=layout.run.is_file()) as claim:
        unknown = unknown_targets(recipe, pipeline.card)
        record = resume_or_create(out, new_record(recipe, identity, fingerprint(recipe, identity), unknown))
        claim.begin()  # First of all: by it a killed build is known for ours.
        write_changed(layout.run, json_bytes(record.plain()))
        write_changed(layout.recipe, loaded.text.encode())
        notes = reopen_damaged(BuildReader(out), verify)
        reopen_topped_up(BuildReader(out), recipe.rfilter)
        watch(Resumed(sum(settled_in(shard) for shard in layout.present_shards())))
        plan = Plan.of(recipe, record.earlier)
        task = ShardTask(recipe, base, out, plan, record.shard_size, keep_rejects)
        with log_file(layout.log):
            notes += _fill(task, plan, layout, record, pipeline, watch, tell)
        return _finish(pipeline, plan, layout, claim, notes)


def identity_of(recipe: Recipe, pipeline: Pipeline, base: Path) -> dict[str, Any]:
    """What decides the pixels beside the recipe: contents of the mask sources, hashes of the weights, thresholds."""
    learnt = pipeline.thresholds.plain()
    return {
        **({"thresholds": learnt} if learnt else {}),
        "sources": [source.fingerprint() for source, _ in pipeline.sources],
        "synthesis": dict(recipe.synthesis.identity(base)),
        "rfilter": [dict(rule.identity(base)) for rule in recipe.rfilter.rules],
    }


def _fill(
    task: ShardTask,
    plan: Plan,
    layout: Layout,
    record: RunRecord,
    pipeline: Pipeline,
    watch: Watch,
    tell: Callable[[str], None],
) -> list[str]:
    """Fill the shards that are not committed yet; what was noted on the way. pipeline: of the recipe, not open.

    What the models are is written down before the first image is asked of them: a build that was killed behind its last
    commit finds nothing to do, and never opens them again.
    """
    shards = -(-len(plan) // task.shard_size)
    todo = [number for number in range(shards) if not layout.shard(number).marker.is_file()]
    if not todo:
        if not record.described:
            pipeline.open()
            write_changed(layout.run, json_bytes(record.with_line(pipeline.describe()).plain()))
        return []
    tally, started = Tally(), time.monotonic()

    def report(event: Any) -> None:
        if isinstance(event, WorkerReady) and not tally.facts:
            write_changed(layout.run, json_bytes(record.with_line(event.facts).plain()))
        tally.add(event)
        watch(event)

    devices = _devices(task.recipe, len(todo))
    with stop_on_signals(lambda: tell(_finishing(tally))) as stop:
        try:
            LocalEngine(devices).run(task, todo, report, stop)
        finally:
            _log_session(layout, tally, time.monotonic() - started, len(devices))
    if stop.is_set():
        raise Interrupted(f"stopped with everything kept; run the same command again to go on in {layout.root}")
    rates.remember(task.recipe, tally.facts, tally.images, time.monotonic() - started)
    return list(tally.notes)


def _finishing(tally: Tally) -> str:
    """What the first Ctrl-C is answered with."""
    batch = tally.facts.get("synthesis", {}).get("batch")
    what = f"finishing {batch} images" if batch else "finishing what is in the making"
    return f"{what}; Ctrl-C again stops now"


def _devices(recipe: Recipe, shards: int) -> list[str]:
    """A device for each worker: GPUs in turn where there are several, else the recipe's choice for all."""
    device, workers = recipe.engine.device, max(1, min(recipe.engine.workers, shards))
    if device not in ("auto", "cuda"):
        return [device] * workers
    from earthsynth_factory.models.device import all_devices

    return all_devices(device, workers)


def _log_session(layout: Layout, tally: Tally, seconds: float, workers: int) -> None:
    """A line of `sessions.jsonl`: times and rates, which differ from run to run and so stay out of `run.json`."""
    line = {
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 2),
        "workers": workers,
        "images": tally.images,
        "accepted": tally.accepted,
        "short": tally.short,
        "rejected_by": dict(sorted(tally.reasons.items())),
        "notes": list(tally.notes),
    }
    with open_to_append(layout.sessions) as file:
        append_line(file, orjson.dumps(line) + b"\n", layout.sessions)


def _finish(pipeline: Pipeline, plan: Plan, layout: Layout, claim: Claim, notes: list[str]) -> BuildResult:
    """Exports, dataset card, report and the final counts, from what is on disk; what is there already stays as it is.

    Raises Interrupted where committed shards have vanished since.
    """
    store, recipe = BuildReader(layout.root), pipeline.recipe
    markers = _markers(store)
    accepted = sum(marker.accepted for marker in markers)
    short = shortfalls(plan, store) if accepted < len(plan) else {}
    outcome = digest_of(store.run.fingerprint, store.run.software, [marker.sha256 for marker in markers])
    summaries = export(store, recipe.exports, layout.exports, lambda _: None)
    done = claim.done(outcome) and report_path(layout.root).is_file() and layout.doubts.is_file()
    doubts = read_doubts(layout) if done else doubts_of(store, recipe)
    write_changed(layout.doubts, json_bytes(doubts))
    write_card(store, summaries, short, doubts)
    notes = [*doubts, *notes, *(note for summary in summaries for note in summary.notes)]
    if not done:
        notes += _report(store, plan, pipeline)
        claim.finish(outcome)
    counts = Counts.of(store)
    undrawn = {store.taxonomy.asked_for(category): why for category, why in counts.undrawn.items()}
    reasons = dict(counts.rejected.most_common())
    return BuildResult(layout.root, accepted, len(plan), short, reasons, tuple(notes), undrawn)


def _markers(store: BuildReader) -> list[Marker]:
    """The marker of every shard. Raises Interrupted where one is missing, or its shard is not what was committed."""
    lost = next((f"shard {layout.root.name}: {fault}" for layout, fault in damages(store)), None)
    markers = [read_marker(store.layout.shard(number)) for number in range(store.shards[1])]
    found = [marker for marker in markers if marker is not None]
    if lost or len(found) < len(markers):
        raise Interrupted(
            f"{store.root}: {lost or 'shards'} vanished or changed while the build went on; run the same command again"
        )
    return found


def _report(store: BuildReader, plan: Plan, pipeline: Pipeline) -> list[str]:
    """Write the report, and a sheet of what was changed in pictures. The dataset is whole without them, so what goes wrong
    here becomes a note."""
    path = report_path(store.root)
    try:
        report_on_build(store, plan, path)
        if pipeline.recipe.synthesis.needs_pictures and (sheet := edit_sheet(store, plan, pipeline)):
            write_bytes(path.with_name(EDITS), sheet)
    except Exception as error:  # a defect of the report must never cost a build its end
        return [f"{path}: no report ({error}); `earthsynth-factory report {store.root}` writes it"]
    return []


EDITS = "edits.png"
"""Beside the report: pictures before and after."""


def shortfalls(plan: Plan, store: BuildReader) -> dict[tuple[str, str], int]:
    """(category name, split) → images asked for and not there."""
    made = Counter((record.category, record.split) for record in store.samples() if not record.counterfactual)
    lacking = {
        (store.taxonomy.asked_for(category), split): count - made[category, split]
        for category, split, count in plan.needs()
    }
    return {where: count for where, count in lacking.items() if count > 0}


def raise_shortfall(result: BuildResult) -> None:
    """Raises Shortfall that names every category that lacks images, and the commonest reasons."""
    if not result.short:
        return
    lines = [f"  {name} ({split}): {count} short" for (name, split), count in sorted(result.short.items())]
    names = sorted({name for name, _ in result.short} & result.undrawn.keys())
    lines += [f"  {name}: {NO_CONDITION}: {result.undrawn[name]}" for name in names]
    judged = [f"{rule} {count}×" for rule, count in result.reasons.items() if rule != NO_CONDITION]
    if judged:
        lines.append(f"Why images were not kept: {', '.join(judged[:5])}.")
    lines.append(_MORE_ATTEMPTS if judged else _OTHER_RECIPE)
    raise Shortfall(f"{result.accepted} of {result.asked} images were accepted:\n" + "\n".join(lines))


_MORE_ATTEMPTS = (
    "Raise `rfilter.max_attempts` and give the same command: it goes on in this folder. Other rules or sources make another "
    "dataset, in another --out."
)

_OTHER_RECIPE = (
    "More attempts would end alike. Change what stands in the way; that makes another dataset, in another --out."
)
