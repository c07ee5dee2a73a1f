"""Small recipes and helpers for tests of whole builds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from earthsynth_factory.build.run import BuildResult, build
from earthsynth_factory.recipe.load import load_recipe

TIMES = {"sessions.jsonl", ".lock", "build.log"}
"""What differs from run to run on purpose."""

RECIPE = """
name: small
seed: 5
image: {size: 64, metres_per_pixel: 0.6..1.2}
categories:
  - {name: storage tank, count: 14}
  - {name: plane, count: 8}
  - {name: water, count: 6}
negatives: 4
conditions: [{kind: procedural}]
synthesis: {kind: fake}
rfilter: {candidates: 2, max_attempts: 6, rules: [image_quality]}
exports: [coco, semantic]
engine: {shard_size: 7, device: cpu}
"""


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def run_build(recipe: Path, out: Path, *changes: str) -> BuildResult:
    return build(load_recipe(recipe, changes), out)


def tree_hash(out: Path, leave_out: tuple[str, ...] = ()) -> str:
    """One hash over the names and bytes of all files but those that hold times or are named in `leave_out`."""
    total = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and path.name not in TIMES and not name.startswith(leave_out):
            total.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
