"""Right pairs cut from the real samples, and wrong ones made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.filtering.labelled_folder import candidate
from earthsynth_factory.filtering.sources import open_folder

DATA = Path(__file__).parents[1] / "data"
SIDE = 96


def right_pairs(workspace: Path, side: int = SIDE) -> list[Candidate]:
    """Windows of the samples in which the main class covers a tenth to nine tenths, each with its own mask."""
    found = []
    for name in ("dubai", "kit_ais"):
        folder = open_folder(DATA / name, workspace)
        for entry in folder.entries:
            whole = entry.load()
            mask, numbers = whole.condition.mask, whole.condition.instances
            for top in range(0, mask.shape[0] - side + 1, side):
                for left in range(0, mask.shape[1] - side + 1, side):
                    at = np.s_[top : top + side, left : left + side]
                    own = numbers[at].copy() if whole.condition.known_instances else None
                    made = candidate(
                        np.ascontiguousarray(whole.image[at]),
                        mask[at].copy(),
                        own,
                        folder.taxonomy,
                        f"{entry.name} {at}",
                    )
                    share = (mask[at] == made.slot.category).mean() if made.slot.category else 0.0
                    if 0.02 <= share <= 0.9:
                        found.append(made)
    return found


def swapped(pairs: list[Candidate]) -> list[Candidate]:
    """Each image with the labels of the pair half the list away: mostly another scene."""
    half = len(pairs) // 2
    return [
        replace(pair, condition=pairs[n - half].condition, slot=pairs[n - half].slot) for n, pair in enumerate(pairs)
    ]


def wrong_class(pairs: list[Candidate], wrong: int) -> list[Candidate]:
    """The main class's pixels given another id."""
    made = []
    for pair in pairs:
        mask = pair.condition.mask.copy()
        mask[mask == pair.slot.category] = wrong
        condition = replace(pair.condition, mask=mask)
        made.append(replace(pair, condition=condition, slot=replace(pair.slot, category=wrong)))
    return made


def degenerate(pairs: list[Candidate]) -> dict[str, list[Candidate]]:
    """The images noised to grain, blurred, flattened, saturated or tiled; labels as they were."""
    rng = np.random.default_rng(0)
    small = [cv2.resize(pair.image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for pair in pairs]
    images = {
        "noise": [rng.integers(0, 256, pair.image.shape, dtype=np.uint8) for pair in pairs],
        "blurred": [cv2.GaussianBlur(pair.image, (0, 0), 6) for pair in pairs],
        "flat": [np.full_like(pair.image, int(pair.image.mean())) for pair in pairs],
        "tiled": [np.tile(tile, (4, 4, 1)) for tile in small],
    }
    return {
        kind: [replace(pair, image=image) for pair, image in zip(pairs, made, strict=True)]
        for kind, made in images.items()
    }


def area_under_curve(right: np.ndarray, wrong: np.ndarray) -> float:
    """Chance that a right pair scores above a wrong one; ties count half."""
    return float((right[:, None] > wrong).mean() + (right[:, None] == wrong).mean() / 2)
