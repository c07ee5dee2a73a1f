"""`train` killed at random moments goes on to the same weights."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

from tests.attack.outcome import Outcome
from tests.attack.running import finish, run, start, tree

RECIPE = """\
kind: controlnet
name: tiny
seed: 3
size: 64
data: {{path: {scenes}, held_out: 0.3}}
model: {{base: {base}}}
optim: {{steps: 6, batch: 6, lr: 0.001, warmup: 0}}
validation: {{images: 0, loss_samples: 0, every: 1000}}
run: {{device: cpu, loaders: 1, save_every: 2, trackers: []}}
"""


def attack(folder: Path, kills: int, chance: random.Random) -> Outcome:
    """Kill the training that often, and compare its weights with those of an untouched one."""
    import os

    from tests.tiny_models import save_pipeline
    from tests.training.scenes import write_layout

    outcome = Outcome("SIGKILL: train")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    scenes, base, recipe = write_layout(folder / "scenes", size=64), folder / "base", folder / "train.yaml"
    save_pipeline(base)
    recipe.write_text(RECIPE.format(scenes=scenes, base=base))
    log, words = folder / "log.txt", ["train", recipe, "--out"]
    began = time.monotonic()
    whole = run([*words, folder / "whole"], log, seconds=1200)
    seconds = time.monotonic() - began
    assert whole.code == 0, whole.text
    out = folder / "killed"
    for _ in range(kills):
        held = any((out / "checkpoints").glob("step-*.safetensors"))
        pid = start([*words, out, *(["--resume"] if held else [])], log)
        time.sleep(chance.uniform(0.1, 0.9) * seconds)
        done, _status = os.waitpid(pid, os.WNOHANG)
        if not done:
            os.killpg(pid, signal.SIGKILL)
            ended = finish(pid, log)
            outcome.count(None if ended.code == -signal.SIGKILL else f"exit {ended.code}: {ended.text[-200:]}")
    held = any((out / "checkpoints").glob("step-*.safetensors"))
    ended = run([*words, out, *(["--resume"] if held else [])], log, seconds=1200)
    if fault := ended.fault([0]):
        outcome.failures.append(fault)
    elif tree(folder / "whole/model") != tree(out / "model"):
        outcome.failures.append("other weights than an untouched run's")
    return outcome
