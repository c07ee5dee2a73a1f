"""`build`: a recipe and a folder in, a dataset out; and the same command again after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.build.doubts import doubts_of, read_doubts
from earthsynth_factory.build.edit_sheet import edit_sheet
from earthsynth_factory.build.filling import Listeners, Watch, fill_shards
from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.preflight import check
from earthsynth_factory.build.reporting import report_on_build, report_path
from earthsynth_factory.build.run_record import record_for, resume_or_create
from earthsynth_factory.build.set_aside import settled_in
from earthsynth_factory.build.shards import Resumed, ShardTask
from earthsynth_factory.build.sharing.run import fill_share
from earthsynth_factory.build.sharing.share import Share
from earthsynth_factory.build.sharing.whole_folder import await_sharers, bring_in, clear, whole_folder
from earthsynth_factory.build.topup import reopen_topped_up
from earthsynth_factory.build.verify import damages, reopen_damaged
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.marker import Marker, read_marker
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.run_record import RunRecord
from earthsynth_factory.domain.outcome import NO_CONDITION
from earthsynth_factory.errors import Interrupted, Shortfall
from earthsynth_factory.exports.write import export
from earthsynth_factory.io.atomic import json_bytes, write_bytes, write_changed
from earthsynth_factory.io.claim import Claim, claimed, digest_of
from earthsynth_factory.recipe.load import LoadedRecipe
from earthsynth_factory.report.dataset_card import Counts, write_card

MANY = 50_000
"""From as many images on, what follows on the last one takes so long that a line says so."""


@dataclass(frozen=True)
class BuildResult:
    """A finished build. short: (category name, split) → images that are missing. reasons: why images of the folder were not
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
    recipe, layout = loaded.recipe, BuildLayout(out)
    for line_to_read in check(loaded, out, building=True):
        warn(line_to_read)
    pipeline = Pipeline.of(recipe, loaded.base, "cpu")
    given = record_for(loaded, pipeline)
    on_the_way: tuple[str, ...] = ()
    if recipe.engine.kind != "local":  # a cluster fills all shards, as tasks do that share the folder
        whole = Share(1, 1)
        on_the_way = fill_share(loaded, out, whole, given, keep_rejects=keep_rejects, watch=watch, tell=tell).notes
    await_sharers(layout, tell)
    with claimed(out, "build", {}, folders=("shards", "exports", "report"), ours=layout.run.is_file()) as claim:
        record = resume_or_create(out, given)
        claim.begin()  # First of all: by it a killed build is known for ours.
        with whole_folder(layout):
            write_changed(layout.run, json_bytes(record.plain()))
            write_changed(layout.recipe, loaded.text.encode())
            notes = [*on_the_way, *reopen_damaged(BuildReader(out), verify)]
            plan = Plan.of(recipe, record.earlier)
            bring_in(layout, plan, record.shard_size)
            reopen_topped_up(BuildReader(out), recipe.rfilter)
            if recipe.engine.kind == "local":
                watch(Resumed(sum(settled_in(shard) for shard in layout.present_shards()), recipe.images))
            task = ShardTask(recipe, loaded.base, out, plan, record.shard_size, keep_rejects, layout.log)
            notes += _fill_rest(task, record, pipeline, watch, tell)
            clear(layout)
            if len(plan) > MANY:
                tell("all images are made; exports, dataset card and report follow, which takes minutes")
            return _finish(pipeline, plan, layout, claim, notes)


def _fill_rest(
    task: ShardTask, record: RunRecord, pipeline: Pipeline, watch: Watch, tell: Callable[[str], None]
) -> list[str]:
    """Fill the shards that are not committed yet; what was noted on the way. pipeline: of the recipe, not open.

    What the models are is written down before the first image is asked of them: a build that was killed behind its last
    commit finds nothing to do, and never opens them again.
    """
    layout = BuildLayout(task.out)
    todo = [number for number in range(task.shards) if not layout.shard(number).marker.is_file()]

    def described(facts: dict[str, Any]) -> None:
        write_changed(layout.run, json_bytes(record.with_line(facts).plain()))

    if todo and task.recipe.engine.kind != "local":
        raise Interrupted(f"{task.out}: {len(todo)} shards are to be made again; run the same command again")
    if todo:
        return fill_shards(task, todo, len(todo), layout.sessions, Listeners(watch, tell, described))
    if not record.described:
        pipeline.open()
        described(pipeline.describe())
    return []


def _finish(pipeline: Pipeline, plan: Plan, layout: BuildLayout, claim: Claim, notes: list[str]) -> BuildResult:
    """Exports, dataset card, report and the final counts, from what is on disk; what is there already stays as it is.

    Raises Interrupted if committed shards have vanished since.
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
    """The marker of every shard. Raises Interrupted if one is missing, or its shard is not what was committed."""
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
