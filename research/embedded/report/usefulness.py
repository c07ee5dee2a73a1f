"""Do generated images help? A segmenter learns from a tenth of the real crops, alone and with generated ones beside them.

The masks that images are generated for are those of the same tenth, each in one of the square's symmetries: no label is
used that the tenth does not hold. (The generator itself has seen all training crops; for a generator trained elsewhere
the comparison would be cleaner.) Of the generated images half are added: a random half, or the half that R-Filter's
`clip_score` rates higher, so that both arms get the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Candidate, Image, Slot
from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.rfilter.base import Rule
from earthsynth_factory.training.iou import confusion, mean_iou
from earthsynth_factory.training.order import dihedral
from research.embedded.crops import CropSet
from research.embedded.recipe import SegmenterSpec
from research.embedded.report.selection import better_half, digest
from research.embedded.segmenter import train_segmenter


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train: how many real and generated crops, and the mIoU on held-out real crops for each seed."""

    name: str
    real: int
    generated: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """Sample standard deviation over seeds; 0 for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0


@dataclass(frozen=True)
class Trial:
    """What all arms share: the evaluation's crops, the training's spec, the seeds, and where checkpoints go."""

    held_out: CropSet
    sparse: tuple[int, ...]
    spec: SegmenterSpec
    seeds: tuple[int, ...]
    folder: Path
    device: torch.device

    def arm(self, name: str, real: CropSet, generated: CropSet | None = None) -> Arm:
        """Trains once for each seed. Steps are the same in every arm."""
        crops = real.joined(generated) if generated else real
        values = tuple(self._value(crops, seed) for seed in self.seeds)
        return Arm(name, len(real), len(crops) - len(real), values)

    def _value(self, crops: CropSet, seed: int) -> float:
        segmenter = train_segmenter(
            crops, self.spec, segmenter_folder(self.folder, crops, self.spec, seed), seed, self.device
        )
        held = self.held_out
        return mean_iou(confusion(held.masks, segmenter.predict(held.images), held.dense, self.sparse))


def compare(trial: Trial, tenth: CropSet, generated: CropSet, scores: npt.NDArray[np.float64], seed: int) -> list[Arm]:
    """The three arms: real alone, with a random half of the generated crops, with the half that scores higher."""
    chance = rng(seed, "random half").random(len(generated))
    return [
        trial.arm("real alone", tenth),
        trial.arm("with generated", tenth, generated.taken(better_half(generated.focus, chance))),
        trial.arm("with generated, R-Filter", tenth, generated.taken(better_half(generated.focus, scores))),
    ]


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


def segmenter_folder(base: Path, crops: CropSet, spec: SegmenterSpec, seed: int) -> Path:
    """Where a training's checkpoints go: a name for its data, spec and seed, so that the same one is never done twice."""
    options = "-".join(str(value) for value in (spec.steps, spec.batch, spec.lr, *spec.widths))
    return base / f"{digest(crops)}-{options}-{seed}"
