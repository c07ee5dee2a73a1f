"""What is attacked: a small build, a prepared dataset, a foreign one, a filter's output, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.attack.running import run
from tests.importers import layouts

RECIPE = """\
name: small
seed: 5
image: {size: 48, metres_per_pixel: 0.6..1.2}
categories:
  - {name: storage tank, count: 14}
  - {name: plane, count: 6}
  - {name: water, count: 3}
negatives: 1
conditions: [{kind: procedural}]
synthesis: {kind: fake}
rfilter: {candidates: 2, max_attempts: 4, rules: [image_quality]}
exports: [coco, {kind: semantic, images: none}]
engine: {shard_size: 6, device: cpu}
"""

COLLAGE = """\
name: collage
seed: 5
image: {size: 48}
categories: [{name: storage tank, count: 6}, {name: plane, count: 2}]
conditions: [{kind: compose, path: prepared, pictures: true}]
synthesis: {kind: collage}
rfilter: {candidates: 2, max_attempts: 8, rules: [image_quality]}
exports: [coco]
engine: {shard_size: 4, device: cpu}
"""

MANY = RECIPE.replace("count: 14", "count: 280").replace("shard_size: 6", "shard_size: 40")

FILTER = "rules: [image_quality, object_size]\n"


@dataclass(frozen=True)
class Inputs:
    """Paths of all that attacks begin with."""

    recipe: Path
    collage: Path
    filter: Path
    build: Path
    loose: Path
    packed: Path
    prepared: Path
    foreign: Path
    filtered: Path

    @classmethod
    def make(cls, folder: Path) -> Inputs:
        """Make them below `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(
            folder / "recipe.yaml",
            folder / "collage.yaml",
            folder / "filter.yaml",
            folder / "build",
            folder / "loose",
            folder / "packed",
            folder / "prepared",
            folder / "foreign",
            folder / "filtered",
        )
        made.recipe.write_text(RECIPE)
        made.collage.write_text(COLLAGE)
        made.filter.write_text(FILTER)
        many = folder / "many.yaml"
        many.write_text(MANY)
        layouts.ALL["coco"](made.foreign)
        for words in (
            ["build", made.recipe, "--out", made.build],
            ["build", many, "--out", made.loose],
            ["build", many, "--out", made.packed, "--set", "store.pack=true"],
            ["split", made.build, "--ratios", "0.5,0.5", "--out", made.prepared],
            ["filter", made.build, "--out", made.filtered, "--config", made.filter],
        ):
            ended = run(words, folder / "log.txt")
            assert ended.code == 0, ended.text
        return made
