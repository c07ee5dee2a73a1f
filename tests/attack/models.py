"""Commands that load or train networks: an evaluation, what reads one, and a build that edits pictures."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson

from tests.attack import fuzz, kills
from tests.attack.fuzz import Target
from tests.attack.inputs import COLLAGE, Inputs
from tests.attack.kills import Job
from tests.attack.outcome import Outcome
from tests.attack.running import run

SMALL = (
    "--task", "segment", "--seeds", 2, "--arms", "real,synthetic", "--steps", 2, "--side", 32, "--backbone", "resnet18",
    "--weights", "none", "--workers", 1, "--allow-leaks",
)  # fmt: skip


def attack(folder: Path, inputs: Inputs, count: int, damages: int, seed: int) -> Iterator[Outcome]:
    """Kill an evaluation and an editing build so often; damage so often what `recipe from-gaps` reads."""
    from tests.tiny_models import save_pipeline

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    real, chance = folder / "thirds", random.Random(seed)
    ended = run(["split", inputs.build, "--ratios", "0.5,0.25,0.25", "--out", real], folder / "log.txt")
    assert ended.code == 0, ended.text
    words = ("evaluate", "--real", real, "--synthetic", inputs.prepared, *SMALL, "--out", "OUT")
    yield kills.attack(Job("evaluate", words), folder / "evaluate", count, chance)
    yield from _gaps(folder, real, damages, seed)
    save_pipeline(folder / "base")
    shutil.copytree(inputs.prepared, folder / "prepared")
    text = COLLAGE.replace("{kind: collage}", f"{{kind: edit, model: {folder / 'base'}, steps: 1, batch: 2}}")
    (folder / "edit.yaml").write_text(text)
    yield kills.attack(
        Job("build of edits", ("build", folder / "edit.yaml", "--out", "OUT")), folder / "edit", count, chance
    )


def _gaps(folder: Path, real: Path, damages: int, seed: int) -> Iterator[Outcome]:
    """`recipe from-gaps` with an evaluation, and with COCO results."""
    source = folder / "gaps"
    shutil.copytree(real, source / "real")
    shutil.copytree(folder / "evaluate/whole", source / "evaluation")
    box = {"image_id": 1, "category_id": 25, "bbox": [4, 4, 16, 16.5], "score": 0.8}
    (source / "found.json").write_bytes(orjson.dumps([{**box, "image_id": number} for number in range(1, 20)]))
    asked = ["recipe", "from-gaps", "--real", "IN/real", "-o", "OUT.yaml"]
    both = [[*asked, "--evaluation", "IN/evaluation"], [*asked, "--predictions", "IN/found.json"]]
    for name, words in zip(("an evaluation", "COCO results"), both, strict=True):
        files = (".json", ".jsonl", ".npy", ".png")
        skip = ("recipe.yaml", "found.json" if name == "an evaluation" else "evaluation.json")
        target = Target(f"{name}, its gaps", source, files, [words], skip)
        yield fuzz.attack(target, folder / "damage", damages, seed)
