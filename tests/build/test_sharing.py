"""One folder, many tasks: killed at random on a file system without locks, the dataset is the one of a local build."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing as mp
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from earthsynth_factory.build.run import build
from earthsynth_factory.build.sharing import whole_folder
from earthsynth_factory.build.sharing.run import ShareResult, build_share
from earthsynth_factory.build.sharing.share import Share, parse_share
from earthsynth_factory.datasets.build.layout import WHOLE, BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import FolderInUse, InputError, StoreError
from earthsynth_factory.io.lease import DEAD_SECONDS, Holder, leased
from earthsynth_factory.io.lock import locked
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe

TASKS = 8
MANY = RECIPE.replace("count: 14", "count: 70").replace("shard_size: 7", "shard_size: 3")


def run_share(recipe: Path, out: Path, share: str, *changes: str) -> ShareResult:
    return build_share(load_recipe(recipe, changes), out, parse_share(share, {}))


def without_locks() -> None:
    """Let `flock` fail in this process as on a file system that has none."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    fcntl.flock = fail
    fcntl.lockf = fail


def run_lockless(recipe: Path, out: Path, share: str | None) -> None:
    """What a task does: its share, and the end where it finds all shards committed."""
    without_locks()
    if share is None or not run_share(recipe, out, share).left:
        try:
            run_build(recipe, out)
        except FolderInUse:
            if share is None:
                raise


def run_lockless_without_links(recipe: Path, out: Path, share: str | None) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    os.link = fail
    run_lockless(recipe, out, share)


def start(target: Callable[..., object], *arguments: object) -> BaseProcess:
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.build.test_sharing", "torch", "diffusers", "earthsynth_factory.conditions.procedural"]
    )
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("links", "kills", "packed"), [(True, 24, False), (False, 6, False), (True, 8, True)])
def test_tasks_killed_at_random_make_the_local_dataset(tmp_path: Path, links: bool, kills: int, packed: bool) -> None:
    text = MANY + "store: {pack: true}\n" * packed
    recipe, out, chance = write_recipe(tmp_path, text), tmp_path / "shared", random.Random(3)
    begun = time.monotonic()
    run_build(recipe, tmp_path / "whole")
    seconds = time.monotonic() - begun
    task_of = run_lockless if links else run_lockless_without_links
    tasks = {number: start(task_of, recipe, out, f"{number}/{TASKS}") for number in range(1, TASKS + 1)}
    died = 0
    while died < kills and any(task.exitcode != 0 for task in tasks.values()):
        time.sleep(chance.uniform(0.0, seconds / 8))
        number = chance.choice([number for number, task in tasks.items() if task.exitcode != 0])
        died += tasks[number].is_alive()
        tasks[number].kill()
        tasks[number].join()
        tasks[number] = start(task_of, recipe, out, f"{number}/{TASKS}")
    for task in tasks.values():
        task.join(300)
    assert [task.exitcode for task in tasks.values()] == [0] * TASKS
    assert died >= kills / 2, "the kills came too late to mean anything"
    last = start(task_of, recipe, out, None)
    last.join(300)
    assert last.exitcode == 0
    assert tree_hash(out) == tree_hash(tmp_path / "whole")
    assert not (out / "work").exists()
    slots = [record.slot for record in BuildReader(out).samples()]
    assert slots == sorted(set(slots))


def remote(out: Path, key: str, age: float) -> Path:
    """The lease of a holder on another machine, whose last sign of life is this many seconds old."""
    path = out / "work" / f"{key}.0.lease"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**asdict(Holder.me()), "machine": "elsewhere", "host": "node7", "token": "abc"}))
    os.utime(path, (time.time() - age,) * 2)
    return path


SLURM = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in {"MIN": 4, "MAX": 10, "STEP": 3, "COUNT": 3}.items()}


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        ({"SLURM_ARRAY_TASK_ID": "7", **SLURM}, (2, 3)),
        ({"SGE_TASK_ID": "2", "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "8", "SGE_TASK_STEPSIZE": "1"}, (2, 8)),
        ({"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "5"}, (1, 5)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "4", "AWS_BATCH_JOB_ARRAY_SIZE": "5"}, (5, 5)),
        ({"SGE_TASK_ID": "undefined", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (2, 2)),
    ],
)
def test_schedulers_say_which_share(environment: dict[str, str], share: tuple[int, int]) -> None:
    found = parse_share("env", environment)
    assert (found.number, found.count) == share


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SLURM_ARRAY_TASK_ID": "7", **SLURM, "SLURM_ARRAY_TASK_COUNT": "2"}, "not numbered evenly"),
        ({"JOB_COMPLETION_INDEX": "0"}, "JOB_COMPLETIONS is not"),
        ({"JOB_COMPLETION_INDEX": "5", "JOB_COMPLETIONS": "5"}, "JOB_COMPLETION_INDEX=5: shares are counted"),
    ],
)
def test_schedulers_that_do_not(environment: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_share("env", environment)


def test_another_recipe_is_refused_in_a_shared_folder(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_share(recipe, out, "1/3")
    before = tree_hash(out)
    with pytest.raises(StoreError, match="holds another build"):
        run_share(recipe, out, "2/3", "seed=6")
    assert tree_hash(out) == before
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="not empty and no build of ours"):
        run_share(recipe, tmp_path / "foreign", "1/3")


def test_a_live_shard_is_left_alone_and_a_dead_one_is_gone_on_with(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    lease = remote(out, "00000", age=5)
    (out / ".earthsynth-factory.json").write_text(
        '{"made_by": "earthsynth-factory", "command": "build", "settings": {}}'
    )
    assert run_share(recipe, out, "1/1").left == 1
    held = r"1 shard that is being made by other tasks \(process \d+ on node7\)"
    with pytest.raises(FolderInUse, match=held), whole_folder.whole_folder(BuildLayout(out)):
        pass
    os.utime(lease, (time.time() - DEAD_SECONDS - 5,) * 2)
    assert run_share(recipe, out, "2/5").left == 0, "its own share is done, and the dead task's shard is none of it"
    run_build(recipe, out)
    run_build(recipe, tmp_path / "whole")
    assert tree_hash(out) == tree_hash(tmp_path / "whole")


def test_a_build_waits_for_who_may_be_dead_and_yields_to_who_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out, told = write_recipe(tmp_path), tmp_path / "out", []
    run_share(recipe, out, "1/2")
    lease = remote(out, "00001", age=DEAD_SECONDS - 1)
    monkeypatch.setattr(whole_folder, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(whole_folder.time, "sleep", lambda _: os.utime(lease))
    with pytest.raises(FolderInUse, match="wait for them or end them"):
        build(load_recipe(recipe), out, tell=told.append)
    assert "waiting for 1 shard that is being made" in told[0]
    monkeypatch.undo()
    os.utime(lease, (time.time() - DEAD_SECONDS + 1,) * 2)
    assert build(load_recipe(recipe), out).accepted == 32


def test_who_was_only_stopped_throws_its_shard_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that seemed dead wakes up after another has made its shard: the folder stays as the other left it."""
    from earthsynth_factory.build.sharing import private_shard as module

    recipe, out, commit = write_recipe(tmp_path), tmp_path / "out", module._commit

    def be_late(layout: BuildLayout, number: int, *rest: object) -> None:
        if number == 1:
            monkeypatch.setattr(module, "_commit", commit)
            lease = next(layout.work.glob("00001.0.lease"))
            lease.write_text(lease.read_text().replace('"machine":"', '"machine":"x'))
            os.utime(lease, (time.time() - DEAD_SECONDS - 5,) * 2)
            run_share(recipe, out, "2/5")
            assert layout.shard(1).marker.is_file()
        commit(layout, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_commit", be_late)
    assert run_share(recipe, out, "1/1").left == 0
    assert not [path for path in (out / "work").iterdir() if path.name.startswith("00001")]
    run_build(recipe, out)
    run_build(recipe, tmp_path / "whole")
    assert tree_hash(out) == tree_hash(tmp_path / "whole")


def test_shares_are_topped_up_as_a_local_build_is(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    more = ["categories.1.count=20", "rfilter.max_attempts=8"]
    for out in ("shared", "whole"):
        run_build(recipe, tmp_path / out)
    for number in (1, 2):
        run_share(recipe, tmp_path / "shared", f"{number}/2", *more)
    run_build(recipe, tmp_path / "shared", *more)
    run_build(recipe, tmp_path / "whole", *more)
    assert BuildReader(tmp_path / "whole").run.images == 44
    assert tree_hash(tmp_path / "shared") == tree_hash(tmp_path / "whole")


def test_a_local_build_that_was_stopped_is_gone_on_with_in_shares(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_build(recipe, out)
    run_build(recipe, tmp_path / "whole")
    for number in (1, 3):
        shard = BuildLayout(out).shard(number)
        shard.marker.unlink()
        lines = shard.samples.read_bytes().splitlines(keepends=True)
        shard.samples.write_bytes(b"".join(lines[:2]) + b'{"slot": 9')
    told: list[object] = []
    build_share(load_recipe(recipe), out, Share(2, 2), watch=told.append)
    assert [(one.shard, one.settled) for one in told if type(one).__name__ == "TakenOver"] == [
        (1, range(7, 9)),
        (3, range(21, 23)),
    ]
    run_build(recipe, out)
    assert tree_hash(out) == tree_hash(tmp_path / "whole")


def test_nobody_begins_while_a_build_has_the_whole_folder(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_share(recipe, out, "1/2")
    with leased(out / "work", WHOLE) as lease:
        assert lease
        with pytest.raises(FolderInUse, match="at work on the whole folder"):
            run_share(recipe, out, "2/2")
        with pytest.raises(FolderInUse, match="another build is writing here"):
            run_build(recipe, out)


def test_what_a_kill_leaves_of_a_lock_taken_over_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    leftover = tmp_path / ".lock.held.break.30966.15b1aae4"
    leftover.touch()
    with locked(tmp_path, "build"):
        assert not leftover.exists() and (tmp_path / ".lock.held").exists()
    assert not list(tmp_path.iterdir()) or [path.name for path in tmp_path.iterdir()] == [".lock"]
