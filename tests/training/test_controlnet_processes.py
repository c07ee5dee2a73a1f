"""Two processes on a CPU: disjoint data, equal weights, one log; and a run that is stopped and resumed among two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.controlnet_runs import recipe_of
from tests.training.scenes import write_layout

ROOT = Path(__file__).parents[2]


def launch(*words: object) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_see_disjoint_data_and_hold_equal_weights(tiny_pipeline: Path, tmp_path: Path) -> None:
    scenes = write_layout(tmp_path / "d", 16)
    launch("-m", "tests.training.two_processes", tiny_pipeline, scenes, tmp_path)
    one, other = (json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert one["world"] == other["world"] == 2
    assert one["sum"] == other["sum"] == [3.0]
    assert one["weights"] == other["weights"]
    # 3 steps × 4 real samples each: an epoch of 24 samples, so nothing comes twice
    assert len({*one["picks"], *other["picks"]}) == 24


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_command_trains_exports_and_resumes_under_a_launcher(tiny_pipeline: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_pipeline, write_layout(tmp_path / "d", 12), optim={"steps": 3})
    path = tmp_path / "tiny.yaml"
    path.write_text(recipe.model_dump_json())  # JSON is YAML
    launch("-m", "earthsynth_factory.training", path, "--out", tmp_path / "out")
    launch("-m", "earthsynth_factory.training", path, "--out", tmp_path / "out", "--resume", "--set", "optim.steps=5")
    log = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3, 4, 5]
    assert (tmp_path / "out/model/diffusion_pytorch_model.safetensors").is_file()
