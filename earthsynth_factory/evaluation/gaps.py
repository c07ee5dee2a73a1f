"""What a dataset lacks and where a model errs on it, class by class: what the next recipe is written from.

Errors come from an evaluation's runs on real images alone, or from a file of COCO results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.taxonomy import BACKGROUND
from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation.members import TEST, TRAIN
from earthsynth_factory.evaluation.pool import Pool, open_pool
from earthsynth_factory.evaluation.result_folder import ResultFolder, as_written, read_object
from earthsynth_factory.io.bounded import read_bounded

SIZES = ("small", "medium", "large")
LEAST_SCORE, LEAST_IOU = 0.3, 0.5
"""Of a prediction that counts, and of the overlap at which it has found an object."""
MOST_BYTES = 1 << 30
"""Largest file of predictions."""


@dataclass
class Errors:
    """Of one class. truth, missed: objects (or pixels) by size. confused: with which class. hallucinated: seen where
    nothing of the sort is; seen: all that was taken for the class."""

    truth: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    confused: Counter[str] = field(default_factory=Counter)
    hallucinated: float = 0
    seen: float = 0

    @property
    def miss(self) -> float:
        """Share that is not found, or is taken for something else."""
        return self.missed.total() / max(1e-9, self.truth.total())

    @property
    def invention(self) -> float:
        """Share of what is seen that is not there."""
        return self.hallucinated / max(1e-9, self.seen)


@dataclass
class Stock:
    """What the training images hold of one class. sizes: longer sides in pixels. counts: objects an image."""

    name: str
    thing: bool
    images: int = 0
    sizes: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    context: Counter[str] = field(default_factory=Counter)
    scales: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Inventory:
    """The training images: how many, of what side (pixels), and the stock of every class by name."""

    images: int
    side: int
    stock: Mapping[str, Stock]


def inventory(dataset: LabelledDataset) -> Inventory:
    """Count the training split. Raises InputError if there is none."""
    stock: dict[str, Stock] = {}
    images, sides = 0, Counter[int]()
    for record in _training(dataset):
        images += 1
        sides[max(record.width, record.height)] += 1
        names = {dataset.taxonomy[index].name for index in record.classes if index != BACKGROUND}
        for index in record.classes:
            if index != BACKGROUND:
                category = dataset.taxonomy[index]
                one = stock.setdefault(category.name, Stock(category.name, category.thing))
                _count(one, record, [obj for obj in record.instances if obj.category == index], names)
    if not images:
        raise InputError(f"{dataset.root}: has no train split to look for gaps in, only {', '.join(dataset.splits)}")
    return Inventory(images, sides.most_common(1)[0][0], stock)


def _training(dataset: LabelledDataset) -> Iterator[SampleRecord]:
    return (record for record in dataset.samples() if record.split == TRAIN)


def _count(one: Stock, record: SampleRecord, objects: Sequence[Instance], names: set[str]) -> None:
    one.images += 1
    one.sizes += [float(max(obj.box[2:])) for obj in objects if not obj.truncated]
    one.counts += [len(objects)] if objects else []
    one.context.update(names - {one.name})
    one.scales += [record.metres_per_pixel] if record.metres_per_pixel else []


def errors_of_evaluation(folder: Path) -> tuple[dict[str, Errors], str]:
    """Class → errors of the runs on real images alone, over all seeds, and where they are from.

    Raises StoreError if the folder holds no evaluation, InputError if its runs say nothing of single images.
    """
    place = ResultFolder(folder)
    document = read_object(place.result)
    if document.get("trainer"):
        raise InputError(f"{folder}: made with a trainer of its own, which tells one number; give --predictions")
    with as_written(folder):
        pool = open_pool(place.pool)
        share = float(max(one["share"] for one in document["shares"]))
        found = {str(name): Errors() for name in pool.classes.names}
        for seed in range(document["seeds"]):
            record = read_object(place.run(f"real-{share:g}-0-{seed}"))
            _add(found, pool, record["outcomes"][TEST], document["task"])
        return found, f"{folder}: {document['seeds']} seeds on {round(100 * share)} % of the real images"


def _add(found: dict[str, Errors], pool: Pool, outcomes: Sequence[Any], task: str) -> None:
    names = ["background", *pool.classes.names]
    if task == "detect":
        for place, rows in zip(pool.of(TEST), outcomes, strict=True):
            objects = pool.objects(int(place))
            truth = [
                (names[c], box) for c, box in zip(pool.columns[objects], pool.boxes[objects].tolist(), strict=True)
            ]
            _compare(found, truth, [(names[int(row[0])], row[1:5]) for row in rows if row[5] >= LEAST_SCORE], pool.side)
        return
    for place, outcome in zip(pool.of(TEST), outcomes, strict=True):
        matrix = np.array(outcome) if task == "segment" else _single(pool, int(place), outcome)
        _add_confusion(found, names, matrix)


def _single(pool: Pool, place: int, outcome: int | None) -> Any:
    matrix = np.zeros((pool.classes.count, pool.classes.count))
    if outcome is not None:
        matrix[pool.labels[place], outcome] = 1
    return matrix


def _add_confusion(found: dict[str, Errors], names: Sequence[str], matrix: Any) -> None:
    for column, name in enumerate(names):
        if column:
            own = found[name]
            own.truth["pixels"] += int(matrix[column].sum())
            own.missed["pixels"] += int(matrix[column].sum() - matrix[column, column])
            own.confused.update({names[o]: int(matrix[column, o]) for o in range(1, len(names)) if o != column})
            own.seen += float(matrix[:, column].sum())
            own.hallucinated += float(matrix[0, column])


def errors_of_predictions(dataset: LabelledDataset, path: Path) -> tuple[dict[str, Errors], str]:
    """Class → errors of COCO results (`image_id`, `category_id`, `bbox`, `score`) on the dataset as `export --format coco`
    numbers it. Raises InputError if the file is none of these, or of another dataset."""
    rows = _read_results(path)
    by_image: dict[int, list[tuple[str, list[float]]]] = {}
    for number, row in enumerate(rows):
        image, name, box, score = _result(row, dataset, f"{path}: result {number + 1}")
        by_image.setdefault(image, []).extend([(name, box)] if score >= LEAST_SCORE else [])
    found: dict[str, Errors] = {}
    seen = set[int]()
    for record in dataset.samples():
        if record.slot + 1 in by_image:
            seen.add(record.slot + 1)
            truth = [(dataset.taxonomy[o.category].name, _corners(o.box)) for o in record.instances]
            _compare(found, truth, by_image[record.slot + 1], max(record.width, record.height))
    strange = sorted(set(by_image) - seen)
    if strange:
        raise InputError(
            f"{path}: image_id {strange[0]} is no image of {dataset.root}; export that dataset as coco anew"
        )
    return found, f"{path}: {len(rows)} predictions on {len(seen)} images"


def _read_results(path: Path) -> list[Any]:
    try:
        rows = orjson.loads(read_bounded(path, MOST_BYTES))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable JSON ({error}); give COCO results") from error
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: not a list of COCO results with image_id, category_id, bbox and score")
    return rows


def _result(row: Any, dataset: LabelledDataset, place: str) -> tuple[int, str, list[float], float]:
    try:
        x, y, width, height = (float(value) for value in row["bbox"])
        image, category, score = int(row["image_id"]), int(row["category_id"]), float(row["score"])
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: no image_id, category_id, bbox and score ({error!r}); give COCO results") from error
    if category not in dataset.taxonomy:
        raise InputError(f"{place}: category_id {category} is none of {dataset.root}; use the ids of its COCO export")
    return image, dataset.taxonomy[category].name, [x, y, x + width, y + height], score


def _corners(box: Sequence[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y + height]


Boxes = Sequence[tuple[str, Sequence[float]]]


def _compare(found: dict[str, Errors], truth: Boxes, seen: Boxes, side: int) -> None:
    """Every object: found, taken for another class, or missed; every prediction without an object is made up."""
    taken: set[int] = set()
    for name, box in truth:
        own, size = found.setdefault(name, Errors()), size_bin(box, side)
        own.truth[size] += 1
        overlaps = [(_iou(box, other), place) for place, (_, other) in enumerate(seen) if place not in taken]
        best, place = max(overlaps, default=(0.0, -1))
        same = [(iou, spot) for iou, spot in overlaps if iou >= LEAST_IOU and seen[spot][0] == name]
        if same:
            taken.add(max(same)[1])
        else:
            own.missed[size] += 1
            if best >= LEAST_IOU:
                taken.add(place)
                own.confused[seen[place][0]] += 1
    for place, (name, _) in enumerate(seen):
        found.setdefault(name, Errors()).seen += 1
        found[name].hallucinated += place not in taken


def size_bin(box: Sequence[float], side: int) -> str:
    """COCO's bounds, 32² and 96² pixels of 640, as shares of the image's side."""
    length = float(np.sqrt(max(0.0, (box[2] - box[0]) * (box[3] - box[1])))) / side
    return SIZES[int(length > 32 / 640) + int(length > 96 / 640)]


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / max(1e-9, areas - shared)
