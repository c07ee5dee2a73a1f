"""How well a CLIP tells right prompts from wrong ones.

Shapes: cosines float (P, K), of P images with the prompts of K categories; right int (P,), each image's column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.models.clip import ClipModel
from research.embedded.clip import TEMPLATES, find_patches, patch_images
from research.embedded.crops import CropSet

PATCH = 64
"""Side in pixels at which patches are cut; the CLIP's own preprocessing takes it from there."""


@dataclass(frozen=True, slots=True)
class Separation:
    """top1: share of images whose right prompt is the nearest. top1_by_category: category → (right, tried).

    auc: chance that the right prompt of one image is nearer to it than a wrong prompt to some image (a single threshold
    for all of them). margin: mean cosine of the right prompt less that of the nearest wrong one.
    """

    top1: float
    top1_by_category: dict[int, tuple[int, int]]
    auc: float
    margin: float

    @property
    def mean_top1(self) -> float:
        """Top-1 as the mean over categories."""
        return float(np.mean([right / tried for right, tried in self.top1_by_category.values()]))


def separate(clip: ClipModel, crops: CropSet) -> Separation:
    """Objects and land-cover patches of `crops` against the prompts of all categories among them (first template)."""
    patches = find_patches(crops)
    categories, right = np.unique(patches.category, return_inverse=True)
    texts = clip.texts([TEMPLATES[0].format(earthsynth()[int(c)].words) for c in categories])
    cosines = (clip.images(patch_images(crops, patches, PATCH)) @ texts.T).numpy()
    hits = cosines.argmax(axis=1) == right
    by_category = {int(c): (int(hits[right == k].sum()), int((right == k).sum())) for k, c in enumerate(categories)}
    return Separation(float(hits.mean()), by_category, auc(cosines, right), margin(cosines, right))


def auc(cosines: npt.NDArray[np.float32], right: npt.NDArray[np.int64]) -> float:
    """Area under the ROC curve of right against wrong cosines over all pairs; ties count half. In [0, 1]."""
    is_right = _is_right(cosines, right)
    wrong = np.sort(cosines[~is_right])
    below, up_to = (np.searchsorted(wrong, cosines[is_right], side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(wrong)))


def margin(cosines: npt.NDArray[np.float32], right: npt.NDArray[np.int64]) -> float:
    """Mean over images of cos(right) − max cos(wrong). In [-2, 2]."""
    is_right = _is_right(cosines, right)
    return float((cosines[is_right] - np.where(is_right, -np.inf, cosines).max(axis=1)).mean())


def _is_right(cosines: npt.NDArray[np.float32], right: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.asarray(right[:, None] == np.arange(cosines.shape[1]))
