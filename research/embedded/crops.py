"""Square training crops out of prepared datasets: centred on objects or on land cover, at several scales.

An image is resampled by area averaging (cubic if it must grow), its mask by nearest; both with the same square.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
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


FILLED_SHARE = 0.5
"""Share of the crops of a scene with guessed surroundings that show the guess; the others leave them unlabelled."""

Boxes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scene:
    """An image uint8 RGB (H, W, 3) with its mask uint8 (H, W).

    boxes int64 (K, 5): category, top, left, bottom, right of every object, if objects are known (else K = 0).
    filled: the mask with guessed land cover where `mask` says nothing, or None. dense: whether `mask` labels every pixel.
    """

    image: npt.NDArray[np.uint8]
    mask: Mask
    boxes: Boxes
    metres_per_pixel: float
    dense: bool = True
    filled: Mask | None = None
    places: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)
    """Category → the flat places of its pixels; found once, when first asked for."""


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
    """Category-balanced crops of `size` pixels from one prepared dataset's `split`: `cut_scenes` over its items.

    Raises `SourceError` if the folder is not a prepared dataset.
    """
    dataset = PreparedDataset(folder)
    stems = [stem for stem, item in dataset.about.items.items() if item.split == split]
    return cut_scenes(stems, partial(load_scene, dataset), plan, size, (seed, folder.name, split))


def cut_scenes(
    names: Sequence[str], load: Callable[[str], Scene], plan: CropPlan, size: int, key: tuple[int, str, str]
) -> CropSet:
    """Crops of the scenes that `load` gives by name; `key` (seed, source, split) names their random numbers.

    Every category gets `plan.per_category` crops (fewer never, repeats at other scales instead), drawn over the scenes
    that hold it.
    """
    seed, source, split = key
    with ThreadPoolExecutor() as pool:
        holders = _holders(names, pool.map(lambda name: _held(load(name), plan.things_only), names))
        wanted: dict[str, list[int]] = {name: [] for name in names}
        for category, found in sorted(holders.items()):
            order = rng(seed, "items", source, split, category).permutation(len(found))
            for number in range(plan.per_category):
                wanted[found[order[number % len(order)]]].append(category)
        chosen = [name for name in names if wanted[name]]
        parts = pool.map(
            lambda name: _cut_scene(load(name), wanted[name], plan, size, rng(seed, "squares", source, name)), chosen
        )
        return _stack([crop for part in parts for crop in part])


def cut(scene: Scene, square: Square, size: int, filled: bool = False) -> tuple[npt.NDArray[np.uint8], Mask, float]:
    """Image (size, size, 3), mask (size, size) and metres per pixel of one square of a scene."""
    place = np.s_[square.top : square.top + square.side, square.left : square.left + square.side]
    shrink = cv2.INTER_AREA if square.side >= size else cv2.INTER_CUBIC
    labels = scene.filled if filled and scene.filled is not None else scene.mask
    image = cv2.resize(scene.image[place], (size, size), interpolation=shrink)
    mask = cv2.resize(labels[place], (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return image.astype(np.uint8), mask.astype(np.uint8), scene.metres_per_pixel * square.side / size


def load_scene(dataset: PreparedDataset, stem: str) -> Scene:
    """Decodes one item. An unknown scale counts as 1 m per pixel; what is ignored counts as background."""
    scale = dataset.about.items[stem].metres_per_pixel or 1.0
    mask, numbers = dataset.read_mask(stem), dataset.read_numbers(stem)
    mask = np.where(mask == IGNORE, np.uint8(BACKGROUND), mask)
    boxes = np.empty((0, 5), np.int64) if numbers is None else boxes_of(mask, numbers)
    return Scene(dataset.read_image(stem), mask, boxes, scale, dataset.about.dense)


def boxes_of(mask: Mask, numbers: npt.NDArray[np.uint16]) -> Boxes:
    """Category, top, left, bottom, right (K, 5) of every instance, by ascending id."""
    rows = []
    for number, category in instance_categories(mask, numbers).items():
        ys, xs = np.nonzero(numbers == number)
        rows.append((category, ys.min(), xs.min(), ys.max() + 1, xs.max() + 1))
    return np.array(rows, np.int64).reshape(-1, 5)


_Crop = tuple[npt.NDArray[np.uint8], Mask, float, int, bool]


def _cut_scene(
    scene: Scene, categories: list[int], plan: CropPlan, size: int, generator: np.random.Generator
) -> list[_Crop]:
    crops: list[_Crop] = []
    for category in categories:
        square = _square(scene, category, plan, generator)
        filled = scene.filled is not None and bool(generator.random() < FILLED_SHARE)
        crops.append((*cut(scene, square, size, filled), category, scene.dense or filled))
    return crops


def _held(scene: Scene, things_only: bool) -> dict[int, int]:
    """Category → how often the scene is to be drawn from for it: once, or once for each object."""
    if things_only and len(scene.boxes):
        return dict(Counter(scene.boxes[:, 0].tolist()))
    shares = np.bincount(scene.mask.ravel(), minlength=256) / scene.mask.size
    return {int(category): 1 for category in np.flatnonzero(shares > 0.003)}


def _holders(names: Sequence[str], held: Iterable[dict[int, int]]) -> dict[int, list[str]]:
    """Category → the names of the scenes that hold it, each as often as `held` says. Background is none."""
    holders: dict[int, list[str]] = {}
    for name, counts in zip(names, held, strict=True):
        for category, count in counts.items():
            if category:
                holders.setdefault(category, []).extend([name] * count)
    return holders


def _square(scene: Scene, category: int, plan: CropPlan, generator: np.random.Generator) -> Square:
    """A square that holds the category: around a random object of it, or around a random pixel of it."""
    height, width = scene.mask.shape
    top, left, bottom, right = _target(scene, category, generator)
    low, high = float(plan.min_side), float(min(plan.max_side, height, width))
    if len(scene.boxes):
        extent = max(bottom - top, right - left)
        low, high = (float(np.clip(extent * factor, plan.min_side, high)) for factor in OBJECT_CONTEXT)
    side = int(min(np.exp(generator.uniform(np.log(low), np.log(max(low, high)))), height, width))
    slack = min(JITTER, max(0.0, (1 - max(bottom - top, right - left) / side) / 2))
    shift = generator.uniform(-slack, slack, 2) * side
    y = int(np.clip((top + bottom) / 2 + shift[0] - side / 2, 0, height - side))
    x = int(np.clip((left + right) / 2 + shift[1] - side / 2, 0, width - side))
    return Square(x, y, side, category)


def _target(scene: Scene, category: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of what to look at; a single pixel where no object of the category is known."""
    own = scene.boxes[scene.boxes[:, 0] == category, 1:]
    if len(own):
        top, left, bottom, right = own[generator.integers(len(own))].tolist()
        return top, left, bottom, right
    if category not in scene.places:
        scene.places[category] = np.flatnonzero(scene.mask == category)
    y, x = divmod(int(generator.choice(scene.places[category])), scene.mask.shape[1])
    return y, x, y + 1, x + 1


def _stack(crops: list[_Crop]) -> CropSet:
    images, masks, scales, focus, dense = zip(*crops, strict=True)
    return CropSet(
        np.stack(images),
        np.stack(masks),
        np.array(scales, np.float32),
        np.array(focus, np.uint8),
        np.array(dense, bool),
    )
