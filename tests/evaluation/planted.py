"""Small prepared datasets whose worth is known, since it was planted.

Every scene has light of its own, so a few real images tell little of what the next scene looks like, and more of them do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.evaluation.spec import EvaluationRecipe
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_mask, encode_png

Picture = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint16]]
"""image (S, S, 3), category ids (S, S), instance ids (S, S)."""

SIDE = 32
ROAD, WATER, TANK, PLANE = 4, 6, 25, 16
HUES = {ROAD: (150, 120, 110), WATER: (95, 120, 145), TANK: (170, 150, 120), PLANE: (120, 150, 170), 0: (120, 130, 115)}


def picture(scene: int, number: int, objects: bool = False, side: int = SIDE) -> Picture:
    """Half road, half water, in the scene's light; or tanks and planes on nothing."""
    random = np.random.default_rng([scene, number])
    light = np.random.default_rng([scene, 99]).normal(0, 28, 3)
    mask, ids = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint16)
    if objects:
        for index in range(1, int(random.integers(2, 4))):
            size = int(random.integers(side // 4, side // 2))
            y, x = random.integers(0, side - size, 2)
            mask[y : y + size, x : x + size], ids[y : y + size, x : x + size] = random.choice([TANK, PLANE]), index
    else:
        edge = int(random.integers(side // 4, 3 * side // 4))
        first, second = random.permutation([ROAD, WATER])
        mask[:, :edge], mask[:, edge:] = first, second
        mask = mask if random.random() < 0.5 else np.ascontiguousarray(mask.T)
    colours = np.array([HUES.get(index, (0, 0, 0)) for index in range(256)], np.float32)
    image = colours[mask] + light + random.normal(0, 22, (side, side, 3))
    return np.clip(image, 0, 255).astype(np.uint8), mask, ids


def write(root: Path, pictures: Sequence[tuple[str, str | None, Picture]], dense: bool = True) -> Path:
    """A prepared folder of (scene, split, picture)."""
    items: dict[str, Any] = {}
    known = {str(index): earthsynth()[index].name for index in (ROAD, WATER, TANK, PLANE)}
    for number, (scene, split, (image, mask, ids)) in enumerate(pictures):
        stem = f"{scene}_{number}"
        write_bytes(root / "images" / f"{stem}.png", encode_png(image), durable=False)
        write_bytes(root / "masks" / f"{stem}.png", encode_mask(mask, earthsynth()), durable=False)
        if ids.any():
            write_bytes(root / "instances" / f"{stem}.png", encode_png(ids), durable=False)
        items[stem] = {"group": scene, "split": split}
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": root.name, "classes": known, "dense": dense}
    write_bytes(root / "dataset.json", orjson.dumps({**about, "items": items}))
    return root


def real(
    root: Path,
    seed: int,
    train: int = 6,
    held: int = 12,
    each: int = 2,
    make: Callable[..., Picture] = picture,
    **how: Any,
) -> Path:
    """A real dataset: `train` scenes to train on, `held` each for val and test, `each` images a scene."""
    parts = [("train", train), ("val", held), ("test", held)]
    scenes = [(split, number) for split, count in parts for number in range(count)]
    pictures = [
        (f"{split}{number}", split, make(scene_of(seed, split, number), one, **how))
        for split, number in scenes
        for one in range(each)
    ]
    return write(root, pictures)


def more(root: Path, seed: int, scenes: int, each: int = 2, **how: Any) -> list[Picture]:
    """Pictures of further scenes, held back from `real`."""
    return [picture(scene_of(seed, "more", number), one, **how) for number in range(scenes) for one in range(each)]


def made(root: Path, pictures: Sequence[Picture]) -> Path:
    """A dataset of training images alone, each a scene of its own."""
    return write(root, [(f"made{number}", "train", one) for number, one in enumerate(pictures)])


def scene_of(seed: int, split: str, number: int) -> int:
    return seed * 10_000 + {"train": 0, "val": 1_000, "test": 2_000, "more": 3_000}[split] + number


def asked(real: Path, synthetic: Path, task: str = "segment", **other: Any) -> EvaluationRecipe:
    """A recipe of the smallest size."""
    small: dict[str, Any] = {"side": SIDE, "steps": 4, "batch": 4, "held_out": 64, "seeds": 2, "lr": 1e-3, "workers": 1}
    model = {"backbone": "timm:resnet10t", "weights": "none"}
    given = {"real": real, "synthetic": (synthetic,), "task": task, "model": model, **small, **other}
    return EvaluationRecipe.model_validate(given)
