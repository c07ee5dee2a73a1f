"""`plan --slurm` and `--kubernetes`: jobs that a shell and a YAML reader take as they are, whatever the names in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import earthsynth_factory
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe
from tests.cli.conftest import Run

NASTY = "it's $(touch gone) & `more`"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """In a folder whose name a shell must not look into."""
    folder = tmp_path / NASTY
    folder.mkdir()
    return write_recipe(folder, RECIPE.replace("name: small", "name: Små & $(touch gone)"))


def _script(run: Run, folder: Path, *words: object) -> Path:
    code, said, _ = run("plan", *words, "--slurm")
    assert code == 0
    path = folder / "job.sh"
    path.write_text(said)
    subprocess.run(["bash", "-n", path], check=True)
    return path


def test_the_script_of_an_array_makes_the_dataset(run: Run, recipe: Path, tmp_path: Path) -> None:
    out = recipe.parent / "shared out"
    job = _script(run, tmp_path, recipe, "--out", out, "--tasks", 2, "--set", "engine.shard_size=20")
    text = job.read_text()
    assert (
        "#SBATCH --array=1-2\n" in text
        and "#SBATCH --mem=4G\n" in text
        and "#SBATCH --job-name=sm-touch-gone\n" in text
    )
    assert "--gpus" not in text, "no model, no GPU"
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "earthsynth-factory"
    program.write_text(f'#!/bin/bash\nexec {sys.executable} -m earthsynth_factory "$@"\n')
    program.chmod(0o755)
    package = Path(earthsynth_factory.__file__).parents[1]
    for task in (1, 2):
        environment = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(package),
            "SLURM_ARRAY_TASK_ID": str(task),
        }
        subprocess.run(["bash", job], env=environment, cwd=tmp_path, check=True)
    assert (out / "report/index.html").is_file() and not list(tmp_path.rglob("gone"))
    run_build(recipe, tmp_path / "whole", "engine.shard_size=20")
    assert tree_hash(out) == tree_hash(tmp_path / "whole")


def _manifest(run: Run, *words: object) -> dict[str, Any]:
    code, said, _ = run("plan", *words, "--kubernetes")
    assert code == 0
    found: dict[str, Any] = YAML(typ="safe").load(said)
    return found


def test_the_manifest_is_an_indexed_job(run: Run, recipe: Path) -> None:
    found = _manifest(run, recipe, "--out", recipe.parent / "out", "--set", "categories.0.count=20")
    spec = found["spec"]
    assert (found["kind"], spec["completionMode"]) == ("Job", "Indexed")
    assert spec["completions"] == spec["parallelism"] == 6
    (container,) = spec["template"]["spec"]["containers"]
    words = ["build", str(recipe), "--out", str(recipe.parent / "out"), "--set", "categories.0.count=20"]
    assert container["command"] == ["earthsynth-factory", *words, "--shard", "env"]
    assert container["env"] == [{"name": "JOB_COMPLETIONS", "value": "6"}]
    assert container["volumeMounts"][0]["mountPath"] == str(recipe.parent)


def test_a_model_is_given_a_gpu_and_memory_for_its_weights(run: Run, recipe: Path) -> None:
    words = ["--set", "synthesis={model: embedded}", "--set", "engine.device=auto", "--set", "engine.workers=2"]
    (container,) = _manifest(run, recipe, "--out", recipe.parent / "out", *words)["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["resources"]["limits"] == {"memory": "9Gi", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slurm", "--kubernetes"], "one of them"),
        (["--tasks", "3"], "go with either"),
        (["--slurm", "--tasks", "6"], "--set engine.shard_size=5"),
        (["--kubernetes", "--out", "/elsewhere"], "have no folder in common"),
        (["--slurm", "--set", "engine.kind=ray"], "need no cluster of `engine.kind: ray`"),
    ],
)
def test_what_does_not_fit_is_said(run: Run, recipe: Path, words: list[str], said: str) -> None:
    code, printed, error = run("plan", recipe, *words)
    assert code == 2 and not printed and said in " ".join(error.split())


def test_a_job_may_write_into_an_object_store(run: Run, recipe: Path) -> None:
    (container,) = _manifest(run, recipe, "--out", "s3://bucket/my data")["spec"]["template"]["spec"]["containers"]
    assert container["command"][2:5] == [str(recipe), "--out", "s3://bucket/my data"]
    assert container["volumeMounts"][0]["mountPath"] == str(recipe.parent)


def test_shares_and_a_cluster_are_one_or_the_other(run: Run, recipe: Path) -> None:
    code, _, error = run("build", recipe, "--shard", "1/2", "--set", "engine.kind=ray")
    assert code == 2 and "deals out shards itself" in " ".join(error.split())
