"""Do generated images help? What `evaluate` says of a share of the real crops, alone and with generated ones beside them.

The masks that images are generated for are those of the same share, each in one of the square's symmetries: no label is
used that the share does not hold. (The generator itself has seen all training crops; for a generator trained elsewhere
the comparison would be cleaner.) Of the generated images half are added: a random half, or the half that R-Filter's
`clip_score` rates higher, so that both arms get the same number. Ground that nobody labelled counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.datasets.prepared.layout import FORMAT, VERSION, PreparedLayout
from earthsynth_factory.datasets.prepared.writer import put_item
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Candidate, Image, Slot
from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, earthsynth
from earthsynth_factory.evaluation.load import load
from earthsynth_factory.evaluation.run import evaluate
from earthsynth_factory.evaluation.session import Events
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.rfilter.base import Rule
from earthsynth_factory.training.order import dihedral
from research.embedded.captions import categories_in
from research.embedded.crops import CropSet
from research.embedded.report.selection import better_half, digest
from research.embedded.report.sizes import Size

VALIDATING = 4
"""Of the held-out crops one in this many is the evaluation's val split, which decides nothing here."""


def compare(
    few: CropSet,
    held: CropSet,
    generated: CropSet,
    scores: npt.NDArray[np.float64],
    size: Size,
    folder: Path,
    seed: int,
) -> dict[str, Any]:
    """The document of the evaluation; `synthetic` is the random half, `compared` the half that scores higher.

    scores: (N,) of the generated crops. folder: where it is kept, by the crops that went in.
    """
    chance = rng(seed, "random half").random(len(generated))
    halves = [generated.taken(better_half(generated.focus, by)) for by in (chance, scores)]
    place = folder / "-".join(digest(crops)[:8] for crops in (few, held, *halves))
    validates = np.arange(len(held)) % VALIDATING == 0
    parts = {"train": few, "val": held.taken(np.flatnonzero(validates)), "test": held.taken(np.flatnonzero(~validates))}
    real = write_crops(place / "real", parts)
    half, better = (
        write_crops(place / name, {"train": crops}) for name, crops in zip(("half", "better"), halves, strict=True)
    )
    given = {
        "real": str(real),
        "synthetic": [str(half)],
        "compare": str(better),
        "task": "segment",
        "seeds": size.rounds,
    }
    # Train and held-out crops are of different scenes: two patches of water that look the same are no leak.
    given |= {"arms": ["real", "synthetic", "compared"], "allow_leaks": True}
    recipe = load(None, {**given, **size.budget})
    document: dict[str, Any] = orjson.loads(evaluate(recipe, place / "evaluation", Events()).read_bytes())
    return document


def write_crops(root: Path, parts: Mapping[str, CropSet]) -> Path:
    """The crops by split as a prepared folder. Which scene a crop is of is not known: each counts as one of its own."""
    items: dict[str, Any] = {}
    for split, crops in parts.items():
        for number, (image, mask, dense) in enumerate(zip(crops.images, crops.masks, crops.dense, strict=True)):
            stem = f"{split}_{number}"
            labelled = mask if dense else np.where(mask == BACKGROUND, IGNORE, mask).astype(np.uint8)
            put = partial(write_bytes, data=encode_png(image), durable=False)
            put_item(root, stem, f"{stem}.png", put, labelled, None)
            items[stem] = {"group": stem, "split": split, "metres_per_pixel": float(crops.metres_per_pixel[number])}
    found = sorted({category for crops in parts.values() for category in categories_in(crops.masks)})
    classes = {str(category): earthsynth()[category].name for category in found}
    about = {"format": FORMAT, "version": VERSION, "name": root.name, "classes": classes, "dense": True, "items": items}
    write_json(PreparedLayout(root).dataset, about)
    return root


def turned(crops: CropSet, seed: int) -> CropSet:
    """Every crop in one of the eight symmetries, drawn for it."""
    turns = rng(seed, "turned").integers(0, 8, len(crops)).tolist()
    images = np.stack([dihedral(image, turn) for image, turn in zip(crops.images, turns, strict=True)])
    masks = np.stack([dihedral(mask, turn) for mask, turn in zip(crops.masks, turns, strict=True)])
    return CropSet(images, masks, crops.metres_per_pixel, crops.focus, crops.dense)


def rule_values(rule: Rule, conditions: Sequence[Condition], images: Sequence[Image]) -> npt.NDArray[np.float64]:
    """The rule's value of every image (N,); higher is better. The rule is open."""
    candidates = [
        Candidate(Slot(place, None, "train", condition.seed), 0, condition.seed, condition, image)
        for place, (condition, image) in enumerate(zip(conditions, images, strict=True))
    ]
    return np.array([score.value for score in rule.score(candidates)])
