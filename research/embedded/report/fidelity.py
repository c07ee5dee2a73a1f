"""Does an image show its mask? A segmenter that learnt from real crops reads generated ones as it reads real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.training.iou import confusion, ious
from research.embedded.crops import CropSet


@dataclass(frozen=True, slots=True)
class MaskFidelity:
    """IoU by category on real images and on images generated for the same masks."""

    real: dict[int, float]
    generated: dict[int, float]

    @property
    def real_miou(self) -> float:
        """Mean over categories on the real images: what the segmenter itself can do."""
        return float(np.mean(list(self.real.values())))

    @property
    def generated_miou(self) -> float:
        """Mean over categories on the generated images."""
        return float(np.mean(list(self.generated.values())))

    @property
    def ratio(self) -> float:
        """Generated over real mIoU."""
        return self.generated_miou / self.real_miou if self.real_miou else 0.0


def mask_fidelity(segmenter: Segmenter, real: CropSet, generated: CropSet, sparse: tuple[int, ...]) -> MaskFidelity:
    """Both sets hold the same masks in the same order. sparse: see `iou.confusion`."""
    scores = [
        ious(confusion(crops.masks, segmenter.predict(crops.images), crops.dense, sparse))
        for crops in (real, generated)
    ]
    return MaskFidelity(*scores)
