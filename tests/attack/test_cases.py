"""The collection of broken promises, if it is at hand: each case is reproduced, and is to be none any more.

The reproductions use fixed places below /tmp/esf-cases; what they begin with is made here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attack.inputs import RECIPE
from tests.importers import layouts
from tests.importers.case_runs import cases_root

FOUND = cases_root()
ROOT = None if FOUND is None or not (FOUND / "reliability").is_dir() else FOUND / "reliability"
WORK = Path("/tmp/esf-cases/work")
HERE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """What the reproduction must say (`shows`), and must not (`never`), as regular expressions over its lines."""

    name: str
    never: str = r"Traceback|defect of ours"
    shows: tuple[str, ...] = ()
    script: str = "repro.py"


CASES = (
    Case("01-kill-loses-model-facts", r" differ$", ("EQUAL",)),
    Case("02-orphan-workers-double-lines", r"doubled \[(?!0, 0\])", ("second run rc 0",)),
    Case("03-prepare-kill-hides-new-images", shows=("dataset.json has 80 images",)),
    Case("04-dataset-json-stem-writes-anywhere", r"outside --out:.*(stranger's dataset|new\.sh|evil_split)"),
    Case("06-filter-apply-killed-cannot-go-on", shows=("same command: rc 0", "uninterrupted, run 2: rc 0")),
    Case(
        "07-no-lock-for-prepare-export",
        r"rcs \[[^\]]*[13][^\]]*\]|again: rc [^0]|differs? (from one run: )?(?!1 \['sessions)[1-9]",
    ),
    Case("09-flock-unsupported-called-busy", r"another build|exit [^0]", ("errno 37: exit 0",), "repro.sh"),
    Case("10-committed-shard-never-checked", r"^[1-8] .*: rc [^0]|  export: rc [^0]|rc 1", ("1 one image deleted",)),
    Case("12-fuzz-own-folders", r"^BAD", ("0 of 50 end in a traceback",)),
    Case("13-fuzz-readers", r"^BAD", ("0 of 41 end in a traceback or hang",)),
    Case("14-overwrites-what-is-not-ours", r"^BAD (?!1[234] )"),
    Case("15-memory-bombs", r"HANG|peak ([3-9]\d{3}|\d{5}) MB|signal"),
    Case("16-terminal-escapes", r"terminal: YES", script="ansi.py"),
    Case("17-carriage-return-crashes-filter", shows=("filter: exit 0", "read back: 2 of 2")),
    Case("20-report-command-injection", r"attempt 0; touch", script="repro.sh"),
    Case("22-coco-polygon-segfault", r"exit 1(39|37)|exit -"),
    Case("23-symlinks-in-output", r"^BAD"),
)


@pytest.fixture(scope="session")
def tools() -> dict[str, str]:
    """What reproductions begin with; the environment that they run in."""
    shutil.rmtree(WORK.parent, ignore_errors=True)
    WORK.mkdir(parents=True)
    assert ROOT is not None
    shutil.copytree(ROOT / "tools/scripts", WORK.parent / "scripts")
    command = Path(sys.executable).with_name("earthsynth-factory")
    env = {**os.environ, "ESF": str(command), "PY": sys.executable, "PYTHONPATH": str(HERE), "HF_HUB_OFFLINE": "1"}
    (WORK / "fuzzrecipe.yaml").write_text(RECIPE)
    (WORK / "fuzzf.yaml").write_text("rules: [image_quality, artefacts, object_size]\n")
    for words in (
        ["build", WORK / "fuzzrecipe.yaml", "--out", WORK / "fuzzbuild"],
        ["build", WORK / "fuzzrecipe.yaml", "--out", WORK / "kb/one/ref"],
        ["split", WORK / "fuzzbuild", "--ratios", "0.5,0.5", "--out", WORK / "fuzzprep"],
    ):
        subprocess.run([command, *map(str, words)], check=True, capture_output=True, env=env)
    for folder, count in (("prepin", 12), ("prepin40", 12)):
        made = layouts.ALL["coco"](WORK / folder)
        assert made.is_dir() and count
    return env


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(ROOT is None, reason="the collection of cases is not at hand (ESF_CASES)")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_promise_is_kept(tools: dict[str, str], case: Case) -> None:
    assert ROOT is not None
    script = ROOT / case.name / case.script
    runner = [sys.executable] if script.suffix == ".py" else ["bash"]
    folder = HERE if script.suffix == ".py" else script.parent
    done = subprocess.run(
        [*runner, str(script)], capture_output=True, text=True, errors="replace", env=tools, cwd=folder
    )
    said = done.stdout + done.stderr
    broken = [line for line in said.splitlines() if re.search(case.never, line)]
    assert not broken, "\n".join(broken)
    assert all(word in said for word in case.shows), said[-3000:]
