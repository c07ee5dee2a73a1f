"""SIGKILL at random moments: of the whole group, of the parent alone, of a worker alone. The same command goes on, and in
the end everything is as if nothing had happened.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.attack.inputs import Inputs
from tests.attack.outcome import Outcome
from tests.attack.running import differing, finish, run, start, tree

UNORDERED = {"prepare.jsonl", "scores.jsonl"}
"""Journals whose lines come in whatever order scenes were done in, and again if a run was killed."""


@dataclass(frozen=True)
class Job:
    """A command whose output folder is `OUT`. workers: whether it has processes of its own. given: what it works in a copy of."""

    name: str
    words: tuple[object, ...]
    workers: bool = False
    given: Path | None = None

    def into(self, out: Path) -> list[object]:
        """Its words for this folder, which is the copy if it is not there yet."""
        if self.given and not out.exists():
            shutil.copytree(self.given, out)
        return [out if word == "OUT" else word for word in self.words]


def jobs(inputs: Inputs) -> list[Job]:
    """Every command that writes, but `train`."""
    formats = "coco,semantic,voc,yolo-segment"
    return [
        Job("build", ("build", inputs.recipe, "--out", "OUT")),
        Job("build, 2 workers", ("build", inputs.recipe, "--out", "OUT", "--set", "engine.workers=2"), True),
        Job("build of collages", ("build", inputs.collage, "--out", "OUT")),
        Job("prepare", ("prepare", inputs.foreign, "--out", "OUT", "--workers", 1, "--crop", 32)),
        Job("prepare, 2 workers", ("prepare", inputs.foreign, "--out", "OUT", "--workers", 2, "--crop", 32), True),
        Job("filter", ("filter", inputs.build, "--out", "OUT", "--config", inputs.filter)),
        Job("filter --apply", ("filter", inputs.build, "--out", "OUT", "--config", inputs.filter, "--apply", "copy")),
        Job("export", ("export", inputs.build, "-f", formats, "-o", "OUT")),
        Job("export of foreign data", ("export", inputs.foreign, "-f", "coco,voc", "-o", "OUT")),
        Job("split", ("split", inputs.build, "--ratios", "0.6,0.4", "--out", "OUT")),
        Job("merge", ("merge", inputs.build, inputs.prepared, "--out", "OUT")),
        Job("pack", ("pack", "OUT"), given=inputs.loose),
        Job("unpack", ("unpack", "OUT"), given=inputs.packed),
    ]


def attack(job: Job, folder: Path, kills: int, chance: random.Random) -> Outcome:
    """Kill the command that often, up to three times in a folder, and compare what it makes in the end with an untouched
    run's.
    """
    outcome = Outcome(f"SIGKILL: {job.name}")
    folder.mkdir(parents=True)
    words, began = job.into(folder / "whole"), time.monotonic()
    whole = run(words, folder / "log.txt")
    seconds = time.monotonic() - began
    assert whole.code == 0, whole.text
    for number in range(kills):
        out = folder / f"killed{number}"
        for _ in range(min(3, kills - outcome.tried)):
            outcome.tried += _killed(job, out, folder / "log.txt", seconds, chance, outcome)
        fault = _end(job, out, folder)
        if fault:
            outcome.failures.append(fault)
        shutil.rmtree(out, ignore_errors=True)
        if outcome.tried >= kills:
            break
    return outcome


def _killed(job: Job, out: Path, log: Path, seconds: float, chance: random.Random, outcome: Outcome) -> bool:
    """Run the command until a random moment; whether it was killed at work."""
    pid = start(job.into(out), log)
    time.sleep(chance.uniform(0.02, 0.8) * seconds)
    children = list(_children(pid))
    how = chance.choice(["group", "parent", "worker"] if job.workers and children else ["group"])
    if os.waitpid(pid, os.WNOHANG)[0]:
        return False
    if how == "worker":
        os.kill(chance.choice(children), signal.SIGKILL)
        if fault := finish(pid, log).fault():
            outcome.failures.append(f"{job.name}, a worker killed: {fault}")
        return True
    if how == "group":
        with suppress(ProcessLookupError):  # it has not got a group of its own yet
            os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def signals(job: Job, folder: Path, times: int, chance: random.Random) -> Outcome:
    """Ask the command to end, once or twice, as terminals, closed ones, and machines that shut down do."""
    outcome = Outcome(f"signals: {job.name}")
    folder.mkdir(parents=True)
    words, began = job.into(folder / "whole"), time.monotonic()
    whole = run(words, folder / "log.txt")
    seconds = time.monotonic() - began
    assert whole.code == 0, whole.text
    for number in range(times):
        out = folder / f"ended{number}"
        which = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[number % 3]
        pid = start(job.into(out), folder / "log.txt")
        time.sleep(chance.uniform(0.1, 0.9) * seconds)
        for _ in range(chance.choice((1, 2))):
            with suppress(ProcessLookupError):
                (os.killpg if which is signal.SIGINT else os.kill)(pid, which)
            time.sleep(chance.uniform(0, 0.3))
        fault = finish(pid, folder / "log.txt").fault(
            allowed=[0, 3, 130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP]
        )
        fault = f"{job.name}, {which.name}: {fault}" if fault else _end(job, out, folder)
        outcome.count(fault)
        shutil.rmtree(out, ignore_errors=True)
    return outcome


def _children(pid: int) -> Iterator[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        yield from map(int, path.read_text().split())
    except OSError:
        return


def _end(job: Job, out: Path, folder: Path) -> str | None:
    ended = run(job.into(out), folder / "log.txt")
    if fault := ended.fault(allowed=[0]):
        return f"{job.name}: {fault}"
    names = differing(tree(folder / "whole", UNORDERED), tree(out, UNORDERED))
    return f"{job.name}: differs from a whole run: {names[:5]}" if names else None
