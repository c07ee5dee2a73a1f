"""Workers end with their parent, whoever ends it; nothing is written twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from earthsynth_factory.datasets.build.reader import BuildReader
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe

CHILD = """
import sys
from pathlib import Path
from tests.build.building import run_build
run_build(Path(sys.argv[1]), Path(sys.argv[2]), "engine.workers=2")
"""


def test_workers_die_with_a_killed_parent(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, RECIPE.replace("count: 14", "count: 60"))
    out = tmp_path / "out"
    parent = subprocess.Popen([sys.executable, "-c", CHILD, str(recipe), str(out)])
    workers = _wait_for(out, parent)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 10
    while any(map(_lives, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(workers) >= 2 and not any(map(_lives, workers))
    run_build(recipe, out, "engine.workers=2")
    run_build(recipe, tmp_path / "whole", "engine.workers=2")
    slots = [record.slot for record in BuildReader(out).samples()]
    assert slots == sorted(set(slots))
    assert tree_hash(out) == tree_hash(tmp_path / "whole")


def _wait_for(out: Path, parent: subprocess.Popen[bytes]) -> list[int]:
    """The parent's children, once the first image is on the disk."""
    until = time.monotonic() + 120
    while not list(out.glob("shards/*/images/*.png")):
        assert time.monotonic() < until and parent.poll() is None, "no image came"
        time.sleep(0.005)
    listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    return [int(pid) for pid in listed.read_text().split()]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ProcessLookupError):
        return False
    return state != "Z"
