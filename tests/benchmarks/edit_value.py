"""What made data is worth to a network: real · augmented · + collage · + edit · + composed masks · + from nothing.

    python -m tests.benchmarks.edit_value DUBAI KIT OUT [--seeds 8]

DUBAI, KIT: the two datasets as `prepare --crop 128 --overlap 0` writes them. Of each, 5 and 10 % of the training crops become
a dataset of their own, with all of val and test; collages and edits are put together from those crops alone, so that no arm
sees more labels than another. Seeds are doubled from two on for every table in turn: stop it when you like, the same command
goes on.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.build.run import build
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.evaluation.load import load
from earthsynth_factory.evaluation.run import evaluate
from earthsynth_factory.evaluation.session import Events
from earthsynth_factory.recipe.load import load_recipe

SHARES = (0.05, 0.1)
BUDGET = {"side": 96, "steps": 100, "batch": 8, "held_out": 96}
RULES = "[image_quality, object_size, changed, kept, outside]"


@dataclass(frozen=True)
class Task:
    """A dataset and what is learnt from it. val: the scene that validates. pasted: what collages and edits put into scenes.

    drawn: the classes of images from nothing. scale: metres per pixel. dense: whether its ground is wholly labelled.
    """

    name: str
    task: str
    val: str
    pasted: str
    drawn: tuple[str, ...]
    scale: float
    dense: bool


TASKS = (
    Task("kit", "detect", "crossroad", "small vehicle", ("small vehicle",), 0.15, False),
    Task("dubai", "segment", "Tile 6", "building", ("building", "road", "water", "grass"), 0.8, True),
)


def subset(source: Path, out: Path, val: str, share: float) -> int:
    """A prepared dataset with a share of the training crops, and all of val and test, linked; how many train."""
    about = json.loads((source / "dataset.json").read_bytes())
    items: dict[str, Any] = about["items"]
    train = sorted(
        (stem for stem, item in items.items() if item["split"] == "train" and item["group"] != val),
        key=lambda stem: derive(0, "subset", stem),
    )
    kept = set(train[: round(share * len(train))])
    chosen = {
        stem: {**item, "split": "val" if item["group"] == val else item["split"]}
        for stem, item in items.items()
        if stem in kept or item["group"] == val or item["split"] == "test"
    }
    for stem in chosen:
        for part in ("images", "masks", "instances"):
            if (source / part / f"{stem}.png").is_file() and not (out / part / f"{stem}.png").exists():
                (out / part).mkdir(parents=True, exist_ok=True)
                os.link(source / part / f"{stem}.png", out / part / f"{stem}.png")
    (out / "dataset.json").write_text(json.dumps({**about, "items": chosen}))
    return len(kept)


def recipes(task: Task, real: Path, count: int) -> Iterator[tuple[str, str]]:
    """Name and text of the recipe of each dataset that is judged, of `count` images."""
    folder = f"path: {real}, only_split: train"
    source = f"kind: compose, {folder}, pictures: true, sparse: {str(not task.dense).lower()}"
    pasted = f"{{{source}, count: 1..4}}"
    masks = f"{{{source.replace('pictures: true, ', '')}, count: 1..4}}"
    drawn = f"{{kind: procedural{', background: dense' if task.dense else ''}}}"
    rules = f"{{candidates: 1, max_attempts: 6, rules: {RULES}}}"
    edit = "{kind: edit, model: embedded, strength: 0.4}"
    plain = rules.replace(RULES, "[image_quality, object_size]")
    for name, categories, conditions, synthesis, kept in (
        ("collage", (task.pasted,), pasted, "{kind: collage}", rules),
        ("edit", (task.pasted,), pasted, edit, rules),
        ("composed", (task.pasted,), masks, "{model: embedded}", plain),
        ("nothing", task.drawn, drawn, "{model: embedded}", plain),
    ):
        wanted = ", ".join(f"{{name: {category}, count: {count // len(categories)}}}" for category in categories)
        yield (
            name,
            (
                f"name: {name}\nseed: 1\nimage: {{size: 128, metres_per_pixel: {task.scale}}}\n"
                f"categories: [{wanted}]\nconditions: [{conditions}]\n"
                f"synthesis: {synthesis}\nrfilter: {kept}\nsplits: {{train: 1.0}}\nexports: []\n"
            ),
        )


def prepare(task: Task, source: Path, share: float, out: Path) -> None:
    """The real crops of a share, and the datasets made from them."""
    real = out / "real"
    count = subset(source, real, task.val, share)
    for name, text in recipes(task, real.resolve(), count):
        recipe = out / f"{name}.yaml"
        recipe.write_text(text)
        build(load_recipe(recipe), out / name)


def judge(task: Task, out: Path, seeds: int) -> None:
    """Both evaluations of a table, with N seeds: collage beside edit, and masks composed beside masks from nothing."""
    shared = {"real": str(out / "real"), "task": task.task, "seeds": seeds, **BUDGET}
    put_together = {"synthetic": [str(out / "collage")], "compare": str(out / "edit")}
    arms = ["real", "augmented", "synthetic", "compared"]
    evaluate(load(None, {**shared, **put_together, "arms": arms}), out / "evaluation", Events())
    nothing = {"synthetic": [str(out / "composed")], "compare": str(out / "nothing")}
    arms = ["real", "synthetic", "compared"]
    evaluate(load(None, {**shared, **nothing, "arms": arms}), out / "evaluation-nothing", Events())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("dubai", "kit", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    tables = [(task, share, given.out.resolve() / f"{task.name}-{share:g}") for share in SHARES for task in TASKS]
    for seeds in sorted({min(2**power, given.seeds) for power in range(1, given.seeds.bit_length() + 1)}):
        for task, share, out in tables:
            out.mkdir(parents=True, exist_ok=True)
            prepare(task, getattr(given, task.name), share, out)  # finds everything there but the first time
            judge(task, out, seeds)


if __name__ == "__main__":
    main()
