"""`prepare`: a dataset as published, or a user's own, → the prepared layout. Resumable; a second run changes nothing."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from earthsynth_factory.datasets.prepared.layout import FOLDERS, PreparedLayout
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.importers import imagery
from earthsynth_factory.importers.classes import read_map
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.distinct import distinct_scenes
from earthsynth_factory.importers.finish import PrepareSummary, finish, is_finished, write_problems
from earthsynth_factory.importers.given_path import name_of, open_path
from earthsynth_factory.importers.prepare_journal import Journal, has_records, scene_stamp
from earthsynth_factory.importers.process_scene import SceneTask, drop_old_files, forget_gone, work
from earthsynth_factory.importers.readers import READERS
from earthsynth_factory.importers.recognise import choose_reader
from earthsynth_factory.importers.scene import Notes, Reader, ReadRequest, Scene, Source
from earthsynth_factory.io.claim import Claim, claimed, digest_of, read_mark
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.objects import local
from earthsynth_factory.io.processes import be_a_child, spawning, warm_context
from earthsynth_factory.io.raster_files import gdal_settings

IN_FLIGHT = 16
"""Scenes handed out per worker: enough that none waits while the disk takes in what the journal vouches for, few enough that
memory stays flat.
"""

WARM = ("earthsynth_factory.importers.prepare",)
"""What workers need: a second of a processor to import, which all of them share."""

Watch = Callable[[int, int], None]
"""Called with scenes done and scenes in all."""


@dataclass(frozen=True)
class PrepareOptions:
    """kind: a reader's, or `auto`. keep_empty: share of crops without any class that are kept. augment: write category
    images and masks; None: what is usual for the kind. segments: COCO results whose masks stand in for boxes.
    stretch, bands: how images of more than 8 bits or three bands become pictures (`io.stretch`; red, green, blue from 1).
    """

    kind: str = "auto"
    rules: CropRules = field(default_factory=CropRules)
    keep_empty: float = 0.1
    augment: bool | None = None
    map: Path | None = None
    segments: Path | None = None
    stretch: str | None = None
    bands: tuple[int, int, int] | None = None
    strict: bool = False
    workers: int | None = None


def prepare(path: Path, out: Path, options: PrepareOptions, watch: Watch | None = None) -> PrepareSummary:
    """Reads `path`, writes the prepared layout into `out`.

    Raises `InputError` for options, unknown classes or a path of no known kind; `StoreError` if `out` was prepared
    otherwise; with `strict` `SourceError` at the first thing that cannot be used; `DiskError` if writing fails.
    """
    _check(path, out, options)
    classes, notes = read_map(options.map), Notes(options.strict)
    settings, begun = _settings(path, options), has_records(PreparedLayout(out).journal)
    with claimed(out, "prepare", settings, folders=FOLDERS, same=begun) as claim:
        claim.begin()
        tree = open_path(path, write_below(out / "unpacked", out), notes)
        request = ReadRequest(tree, name_of(path), classes, notes, options.segments)
        reader, why = choose_reader(request, READERS, options.kind)
        source, scenes = _listed(reader, request, out)
        rules = options.rules if reader.cuts else replace(options.rules, side=0)
        augment = options.augment if options.augment is not None else not reader.cuts
        rendering = imagery.settle(PreparedLayout(out).imagery, scenes, options.stretch, options.bands, notes)
        task = SceneTask(reader, classes, out, rules, options.keep_empty, augment, options.strict, rendering)
        _prepare(task, source, scenes, notes, claim, options.workers, watch)
    return PrepareSummary.of(out, reader.kind, why)


def _listed(reader: Reader, request: ReadRequest, out: Path) -> tuple[Source, list[Scene]]:
    """The dataset and its scenes. What was found wrong is written down, also if nothing is left. Raises as `prepare`."""
    notes = request.notes
    try:
        source = reader.open(request)
        scenes = distinct_scenes(source, notes)
    except SourceError as error:
        if not notes.faults:
            raise SourceError("; ".join([str(error), *notes.left_out, *notes.remarks])) from error
        place = write_problems(out, notes.faults)
        first = f"{len(notes.faults)} problems, listed in {place}; the first: {notes.faults[0]}"
        raise SourceError(f"{error}; {first}") from error
    for word in request.classes.check(source.words, request.path):
        notes.remarks[f"class {word!r} is listed and never used"] += 1
    return source, scenes


def _prepare(
    task: SceneTask,
    source: Source,
    scenes: list[Scene],
    notes: Notes,
    claim: Claim,
    workers: int | None,
    watch: Watch | None,
) -> None:
    """Every scene that is not done, then the lists. What is listed always follows from the scenes that are there now."""
    with closing(Journal(PreparedLayout(task.out).journal)) as journal:
        waiting = [scene for scene in scenes if scene not in journal]
        done = len(scenes) - len(waiting)
        if waiting:
            claim.reopen()
        for scene, record in _all(task, waiting, workers):
            drop_old_files(task.out, journal, scene.stem, record)
            journal.add(scene, record)
            done += 1
            if watch:
                watch(done, len(scenes))
        journal.flush()
        noted = (notes.faults, notes.left_out, notes.remarks)
        outcome = digest_of(asdict(source.info), *noted, [[scene.stem, scene_stamp(scene)] for scene in scenes])
        if not (claim.done(outcome) and is_finished(task.out)):
            claim.reopen()
            forget_gone(task.out, journal, scenes)
            finish(task.out, source, task.classes.taxonomy, scenes, journal, notes, imagery.fields(task.rendering))
            claim.finish(outcome)


def _check(path: Path, out: Path, options: PrepareOptions) -> None:
    rules = options.rules
    if options.kind == "auto" and local(path).is_dir() and (read_mark(path) or {}).get("command") == "build":
        raise InputError(
            f"{path}: is a build, which every command reads as it is; `earthsynth-factory export {path} -f prepared -o DIR` "
            "copies it into the layout that `prepare` writes"
        )
    if (
        out.resolve() == path.resolve()
        or out.resolve() in path.resolve().parents
        or path.resolve() in out.resolve().parents
    ):
        raise InputError(
            f"--out {out}: lies in {path} or holds it; choose a folder outside, so that nothing is read twice"
        )
    if rules.side and rules.side < 16:
        raise InputError(f"--crop {rules.side}: crops have at least 16 pixels a side; 0 keeps images whole")
    shares = {"overlap": rules.overlap, "min-visible": rules.min_visible, "keep-empty": options.keep_empty}
    for name, value in shares.items():
        limit = 0.95 if name == "overlap" else 1.0
        if not 0 <= value <= limit:
            raise InputError(f"--{name} {value}: a share between 0 and {limit:g}")


def _settings(path: Path, options: PrepareOptions) -> dict[str, Any]:
    """How the folder is prepared, as it was asked: two ways are never mixed in one."""
    return {
        "kind": options.kind,
        "source": str(path.resolve()),
        "crop": asdict(options.rules),
        "keep_empty": options.keep_empty,
        "category_augmentation": options.augment,
        "map": options.map.read_text(encoding="utf-8") if options.map else None,
        "segments": str(options.segments.resolve()) if options.segments else None,
        "stretch": options.stretch,
        "bands": list(options.bands) if options.bands else None,
    }


def _all(task: SceneTask, scenes: list[Scene], workers: int | None) -> Iterator[tuple[Scene, dict[str, Any]]]:
    """Every scene's record, in whatever order they come."""
    count = min(workers or os.cpu_count() or 1, len(scenes))
    if count <= 1:
        with gdal_settings():
            yield from ((scene, work(task, scene)) for scene in scenes)
        return
    left = scenes
    while left:
        unsettled: list[Scene] = []
        yield from _pooled(task, left, count, unsettled)
        # A worker died, by the system's hand or in a decoder: whose fault it was shows when each goes alone.
        yield from _one_by_one(task, deque(unsettled[: IN_FLIGHT * count]))
        left = unsettled[IN_FLIGHT * count :]


def _pooled(
    task: SceneTask, scenes: list[Scene], count: int, unsettled: list[Scene]
) -> Iterator[tuple[Scene, dict[str, Any]]]:
    """Records from a pool of processes. Scenes that the death of one leaves undone are put in `unsettled`, in order."""
    queue = iter(scenes)
    flying: dict[Future[dict[str, Any]], Scene] = {}
    with ProcessPoolExecutor(count, warm_context(*WARM), _take_place, (task,)) as pool:
        try:
            _hand_out(pool, flying, islice(queue, IN_FLIGHT * count))
            while flying:
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    record = future.result()
                    yield flying.pop(future), record
                    _hand_out(pool, flying, islice(queue, 1))
        except BrokenProcessPool:
            unsettled.extend([*flying.values(), *queue])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _hand_out(pool: ProcessPoolExecutor, flying: dict[Future[dict[str, Any]], Scene], scenes: Iterable[Scene]) -> None:
    for scene in scenes:
        flying[_submitted(pool, scene)] = scene


def _submitted(pool: ProcessPoolExecutor, scene: Scene) -> Future[dict[str, Any]]:
    """The scene's record to come. A pool that cannot take it, since a worker died before or as it started, says so there."""
    try:
        with spawning():
            return pool.submit(_work_there, scene)
    except (BrokenProcessPool, ConnectionError) as error:
        failed = Future[dict[str, Any]]()
        failed.set_exception(BrokenProcessPool(str(error)))
        return failed


def _one_by_one(task: SceneTask, scenes: deque[Scene]) -> Iterator[tuple[Scene, dict[str, Any]]]:
    """Each when the one before is done, in a process that only a death replaces: that is then the scene's fault."""
    while scenes:
        try:
            with ProcessPoolExecutor(1, warm_context(*WARM), _take_place, (task,)) as pool:
                while scenes:
                    record = _submitted(pool, scenes[0]).result()
                    yield scenes.popleft(), record
        except BrokenProcessPool:
            scene = scenes.popleft()
            yield scene, _deadly(task, scene)


def _deadly(task: SceneTask, scene: Scene) -> dict[str, Any]:
    fault = f"{scene.image}: reading it ended the process (damaged file, or out of memory); skipped"
    if task.strict:
        raise SourceError(f"{fault} (--strict)") from None
    return {"scene": scene.stem, "items": [], "faults": [fault], "left_out": {}}


_task: SceneTask | None = None
_for_good = ExitStack()
"""What a worker holds until its process ends."""


def _take_place(task: SceneTask) -> None:
    global _task
    be_a_child()
    _task = task
    _for_good.enter_context(gdal_settings())


def _work_there(scene: Scene) -> dict[str, Any]:
    assert _task is not None
    return work(_task, scene)
