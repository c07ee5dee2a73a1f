"""Square training crops out of prepared datasets: centred on objects or on land cover, at several scales.

An image is resampled by area averaging (cubic where it must grow), its mask by nearest; both with the same square.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.prepared.reader import PreparedDataset, instance_categories
from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE

OBJECT_CONTEXT = (1.3, 4.0)
"""Side of an object's crop in multiples of the object's longest side, drawn log-uniformly."""

JITTER = 0.3
"""Largest shift of an object from the crop's centre, in crop sides."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One item of a prepared dataset, decoded. Image uint8 RGB (H, W, 3), mask uint8 (H, W), instances uint16 or None."""

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint16] | None
    metres_per_pixel: float


@dataclass(frozen=True, slots=True)
class Square:
    """A crop's place in its scene: left, top and side in pixels, and the category it was drawn for."""

    left: int
    top: int
    side: int
    focus: int


@dataclass(frozen=True, slots=True)
class CropSet:
    """N crops of S pixels.

    images uint8 RGB (N, S, S, 3); masks uint8 (N, S, S) category ids; metres_per_pixel float32 (N,), after resampling;
    focus uint8 (N,), the category each was drawn for; dense bool (N,), whether every pixel was labelled.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    metres_per_pixel: npt.NDArray[np.float32]
    focus: npt.NDArray[np.uint8]
    dense: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)

    def taken(self, picks: npt.NDArray[np.int64]) -> CropSet:
        """The crops at these places, in their order."""
        return CropSet(
            self.images[picks], self.masks[picks], self.metres_per_pixel[picks], self.focus[picks], self.dense[picks]
        )

    def joined(self, other: CropSet) -> CropSet:
        """These crops and then `other`'s."""
        names = ("images", "masks", "metres_per_pixel", "focus", "dense")
        return CropSet(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))


@dataclass(frozen=True, slots=True)
class CropPlan:
    """How many crops a source gives and how large they are, in source pixels (side drawn log-uniformly)."""

    per_category: int
    min_side: int
    max_side: int
    things_only: bool = False


def cut_dataset(folder: Path, split: str, plan: CropPlan, size: int, seed: int) -> CropSet:
    """Category-balanced crops of `size` pixels from one prepared dataset's `split`.

    Every category gets `plan.per_category` crops (fewer never, repeats at other scales instead), drawn over the items
    that hold it. Raises `SourceError` where the folder is not a prepared dataset.
    """
    dataset = PreparedDataset(folder)
    stems = [stem for stem, item in dataset.about.items.items() if item.split == split]
    holders = _holders(dataset, stems, plan.things_only)
    wanted: dict[str, list[int]] = {stem: [] for stem in stems}
    for category, found in sorted(holders.items()):
        order = rng(seed, "items", folder.name, split, category).permutation(len(found))
        for number in range(plan.per_category):
            wanted[found[order[number % len(order)]]].append(category)
    crops = []
    for stem, categories in wanted.items():
        if categories:
            scene = load_scene(dataset, stem)
            generator = rng(seed, "squares", folder.name, stem)
            for square in (_square(scene, category, plan, generator) for category in categories):
                crops.append((*cut(scene, square, size), square.focus))
    return _stack(crops, dense=dataset.about.dense)


def cut(scene: Scene, square: Square, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], float]:
    """Image (size, size, 3), mask (size, size) and metres per pixel of one square of a scene."""
    place = np.s_[square.top : square.top + square.side, square.left : square.left + square.side]
    shrink = cv2.INTER_AREA if square.side >= size else cv2.INTER_CUBIC
    image = cv2.resize(scene.image[place], (size, size), interpolation=shrink)
    mask = cv2.resize(scene.mask[place], (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return image.astype(np.uint8), mask.astype(np.uint8), scene.metres_per_pixel * square.side / size


def load_scene(dataset: PreparedDataset, stem: str) -> Scene:
    """Decodes one item. An unknown scale counts as 1 m per pixel."""
    scale = dataset.about.items[stem].metres_per_pixel or 1.0
    return Scene(dataset.read_image(stem), _mask(dataset, stem), dataset.read_numbers(stem), scale)


def _mask(dataset: PreparedDataset, stem: str) -> npt.NDArray[np.uint8]:
    """Category ids (H, W); what is ignored counts as background, as it did when the weights were made."""
    mask = dataset.read_mask(stem)
    return np.where(mask == IGNORE, np.uint8(BACKGROUND), mask)


def _holders(dataset: PreparedDataset, stems: list[str], things_only: bool) -> dict[int, list[str]]:
    """Category → the stems whose mask holds it, one entry per instance where instances are known."""
    holders: dict[int, list[str]] = {}
    for stem in stems:
        mask = _mask(dataset, stem)
        numbers = dataset.read_numbers(stem) if things_only else None
        if numbers is not None:
            found = Counter(instance_categories(mask, numbers).values())
        else:
            shares = np.bincount(mask.ravel(), minlength=256) / mask.size
            found = Counter({int(c): 1 for c in np.flatnonzero(shares > 0.003)})
        for category in found:
            if category:
                holders.setdefault(category, []).extend([stem] * found[category])
    return holders


def _square(scene: Scene, category: int, plan: CropPlan, generator: np.random.Generator) -> Square:
    """A square that holds the category: around a random instance of it, or around a random pixel of it."""
    height, width = scene.mask.shape
    top, left, bottom, right = _target(scene, category, generator)
    low, high = float(plan.min_side), float(min(plan.max_side, height, width))
    if scene.instances is not None:
        extent = max(bottom - top, right - left)
        low, high = (float(np.clip(extent * factor, plan.min_side, high)) for factor in OBJECT_CONTEXT)
    side = int(min(np.exp(generator.uniform(np.log(low), np.log(max(low, high)))), height, width))
    slack = min(JITTER, max(0.0, (1 - max(bottom - top, right - left) / side) / 2))
    shift = generator.uniform(-slack, slack, 2) * side
    y = int(np.clip((top + bottom) / 2 + shift[0] - side / 2, 0, height - side))
    x = int(np.clip((left + right) / 2 + shift[1] - side / 2, 0, width - side))
    return Square(x, y, side, category)


def _target(scene: Scene, category: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of what to look at; a single pixel where the source knows no instances."""
    if scene.instances is None:
        y, x = divmod(int(generator.choice(np.flatnonzero(scene.mask == category))), scene.mask.shape[1])
        return y, x, y + 1, x + 1
    ids = [i for i, c in instance_categories(scene.mask, scene.instances).items() if c == category]
    rows, columns = np.nonzero(scene.instances == generator.choice(ids))
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def _stack(crops: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], float, int]], dense: bool) -> CropSet:
    images, masks, scales, focus = zip(*crops, strict=True)
    return CropSet(
        np.stack(images),
        np.stack(masks),
        np.array(scales, np.float32),
        np.array(focus, np.uint8),
        np.full(len(crops), dense),
    )
