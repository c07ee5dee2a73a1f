"""What an image is worth to its mask: IoU by the segmenter, regions by CLIP, class by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.training import iou
from earthsynth_factory.training.controlnet.batches import Batches
from earthsynth_factory.training.controlnet.dataset import TrainingDataset
from earthsynth_factory.training.controlnet.setup import looked_at
from earthsynth_factory.training.controlnet.validation import region_accuracy, spread_over_classes
from research.embedded.crops import CropSet

Scores = dict[int, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """By category id: IoU of mask and what the segmenter sees; share of regions that CLIP takes for their class."""

    iou: Scores
    regions: Scores


class Judge:
    """The held-out conditions and the two who look at images of them."""

    def __init__(self, batches: Batches, segmenter: Segmenter, count: int, device: torch.device) -> None:
        self.dataset, self._segmenter, self._device = batches.dataset, segmenter, device
        samples = spread_over_classes(looked_at(self.dataset), count)
        counts = occurrences(self.dataset)
        self.crops = CropSet(
            images=np.stack([batches.image(sample) for sample in samples]),
            masks=np.stack([batches.mask(sample) for sample in samples]),
            metres_per_pixel=np.array([s.metres_per_pixel * s.side / batches.recipe.size for s in samples], np.float32),
            focus=np.array([min(s.ids, key=lambda c: counts[c] if c else np.inf) for s in samples], np.uint8),
            dense=np.full(len(samples), self.dataset.dense),
        )
        self._sources = np.array([sample.source for sample in samples])

    def look(self, images: Sequence[Any]) -> Verdict:
        """The verdict on one image (S, S, 3) for each condition, in order."""
        found = region_accuracy(
            images, list(self.crops.masks), self.dataset.taxonomy, self.dataset.categories(), self._device
        )
        names = {c: f"region accuracy, {self.dataset.taxonomy[c].name}" for c in self.dataset.categories()}
        return Verdict(self._ious(images), {c: found[name] for c, name in names.items() if name in found})

    def _ious(self, images: Sequence[Any]) -> Scores:
        """Background vouches for the absence of the categories that its own source labels, and for nothing else."""
        seen = self._segmenter.predict(np.stack(images))
        counts = np.zeros((256, 256), np.int64)
        for source in np.unique(self._sources).tolist():
            own = self._sources == source
            labelled = {c for s in self.dataset.samples if s.source == source for c in s.ids if c}
            counts += iou.confusion(self.crops.masks[own], seen[own], self.crops.dense[own], sorted(labelled))
        return {c: value for c, value in iou.ious(counts).items() if c in self._segmenter.categories}


def occurrences(dataset: TrainingDataset) -> Counter[int]:
    """Training samples that hold each category: the count that CF-Comp's text criterion takes rarity from."""
    return Counter(c for sample in dataset.samples for c in sample.ids if c)


def rare(dataset: TrainingDataset, judged: Sequence[int]) -> tuple[int, ...]:
    """The rarest third (at least one) of the `judged` categories, ascending ids."""
    counts = occurrences(dataset)
    order = sorted(judged, key=lambda c: (counts[c], c))
    return tuple(sorted(order[: max(1, len(order) // 3)]))
