"""Two of the same command at once in one folder: one does it, the other does it too or says who does."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from tests.attack.inputs import Inputs
from tests.attack.kills import UNORDERED, Job, jobs
from tests.attack.outcome import Outcome
from tests.attack.running import differing, finish, run, start, tree


def attack(inputs: Inputs, folder: Path, times: int, chance: random.Random) -> Outcome:
    """Every command, the second so much later than the first."""
    outcome = Outcome("two of the same command at once")
    for job in jobs(inputs):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        assert run(job.into(folder / "whole"), folder / "log.txt").code == 0
        seconds = time.monotonic() - began
        for _ in range(times):
            outcome.count(_both(job, folder, chance.uniform(0, 0.7) * seconds))
    return outcome


def _both(job: Job, folder: Path, lag: float) -> str | None:
    out, logs = folder / "out", (folder / "one.txt", folder / "two.txt")
    shutil.rmtree(out, ignore_errors=True)
    first = start(job.into(out), logs[0])
    time.sleep(lag)
    second = start(job.into(out), logs[1])
    ended = [finish(pid, log) for pid, log in zip((first, second), logs, strict=True)]
    what = f"{job.name}, the second {lag:.2f} s later"
    for one in ended:
        if fault := one.fault(allowed=[0, 2]):
            return f"{what}: {fault}"
        if one.code == 2 and "is writing here" not in one.text:
            return f"{what}: {one.text.strip()[-200:]}"
    if all(one.code for one in ended):
        return f"{what}: both were refused"
    names = differing(tree(folder / "whole", UNORDERED), tree(out, UNORDERED))
    return f"{what}: differs from one run: {names[:4]}" if names else None
