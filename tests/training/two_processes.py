"""Run by a launcher in each of two processes: trains some steps and writes what this process saw and holds."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch

from earthsynth_factory.training.controlnet.distributed import process_group
from earthsynth_factory.training.controlnet.setup import open_run
from tests.training.controlnet_runs import recipe_of

base, scenes, out = map(Path, sys.argv[1:])
with process_group(torch.device("cpu")) as team:
    setup = open_run(recipe_of(base, scenes), out, out, team, lambda what, done, total: None)
    trainer = setup.trainer
    seen = []
    for number in range(3):
        seen += trainer.loader.get(number * trainer.stride).batch.picks.tolist()
        trainer.step(number, number * trainer.stride)
    weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in trainer.learning.values())).hexdigest()
    told = {"world": team.world, "picks": seen, "weights": weights, "sum": team.total([team.rank + 1.0])}
    (out / f"process-{team.rank}.json").write_text(json.dumps(told))
