"""What a dataset holds, by class: images, pixels, objects and their sizes; as a table and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Category

BINS = np.geomspace(1, 32768, 241)
"""Edges of the size histogram, pixels: percentiles are right to 5 %, and memory does not grow with the dataset."""

QUANTILES = (0.05, 0.5, 0.95)

Histogram = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """images: those that hold the class. pixels: share of all, 0–1. objects: None for land cover. sizes: the 5th, 50th
    and 95th percentile of √area in pixels; metres: the same in metres over images whose scale is known; None without.
    """

    category: Category
    images: dict[str, int]
    pixels: float
    objects: int | None
    sizes: tuple[float, ...] | None
    metres: tuple[float, ...] | None


@dataclass
class _Tally:
    images: Counter[tuple[int, str]] = field(default_factory=Counter)
    pixels: Histogram = field(default_factory=lambda: np.zeros(256, np.int64))
    sizes: dict[int, Histogram] = field(default_factory=dict)
    metres: dict[int, Histogram] = field(default_factory=dict)


def statistics(dataset: LabelledDataset, progress: Callable[[int], None]) -> list[ClassStatistics]:
    """One pass over records and masks; classes by descending number of images. progress: called with images done."""
    tally = _Tally()
    for record in dataset.samples():
        tally.images.update((category, record.split) for category in record.classes)
        tally.pixels += np.bincount(dataset.mask(record).ravel(), minlength=256)
        tally.pixels[IGNORE] = 0
        for instance in record.instances:
            side = instance.area**0.5
            _count(tally.sizes, instance.category, side)
            if record.metres_per_pixel:
                _count(tally.metres, instance.category, side * record.metres_per_pixel * 10)
        progress(1)
    present = sorted({category for category, _ in tally.images} - {BACKGROUND})
    found = [_of(dataset, tally, category) for category in present]
    return sorted(found, key=lambda one: -sum(one.images.values()))


def text_table(rows: Sequence[ClassStatistics], splits: Sequence[str]) -> str:
    """Fixed-width text, a line a class."""
    head = ["class", *(f"images {split}" for split in splits), "pixels", "objects", "size px (5–50–95 %)", "size m"]
    lines = [head]
    for row in rows:
        counts = [str(row.images.get(split, 0)) for split in splits]
        objects = "land cover" if row.objects is None else str(row.objects)
        lines.append([row.category.name, *counts, f"{row.pixels:.2%}", objects, _spans(row.sizes), _spans(row.metres)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


ROW, LABEL, BAR, SPAN, PAD = 18, 190, 260, 320, 12
"""Pixels: height of a row, widths of the label, the bar of images and the span of sizes, and the margin."""


def draw_statistics(rows: Sequence[ClassStatistics]) -> Image:
    """(H, W, 3): for every class a bar of its images and the span of its objects' sizes on a log scale."""
    page = PIL.Image.new("RGB", (2 * PAD + LABEL + BAR + SPAN + 70, 2 * PAD + ROW * (len(rows) + 2)), "white")
    draw = PIL.ImageDraw.Draw(page)
    draw.text((PAD + LABEL, PAD), "images", fill="black")
    draw.text((PAD + LABEL + BAR + 60, PAD), "object size, pixels: 5th, 50th, 95th percentile", fill="black")
    most = max((sum(row.images.values()) for row in rows), default=1)
    for number, row in enumerate(rows, start=1):
        _draw_row(draw, row, PAD + number * ROW, most)
    _draw_scale(draw, PAD + (len(rows) + 1) * ROW)
    return np.asarray(page, np.uint8)


def _count(histograms: dict[int, Histogram], category: int, value: float) -> None:
    place = int(np.searchsorted(BINS, value).clip(0, len(BINS) - 1))
    histograms.setdefault(category, np.zeros(len(BINS), np.int64))[place] += 1


def _of(dataset: LabelledDataset, tally: _Tally, category: int) -> ClassStatistics:
    sizes = _percentiles(tally.sizes.get(category))
    metres = _percentiles(tally.metres.get(category))
    return ClassStatistics(
        category=dataset.taxonomy[category],
        images={split: tally.images[category, split] for split in dataset.splits},
        pixels=float(tally.pixels[category] / max(tally.pixels.sum(), 1)),
        objects=int(tally.sizes[category].sum()) if category in tally.sizes else None,
        sizes=sizes,
        metres=metres and tuple(value / 10 for value in metres),
    )


def _percentiles(histogram: Histogram | None) -> tuple[float, ...] | None:
    if histogram is None:
        return None
    places = np.searchsorted(np.cumsum(histogram), np.array(QUANTILES) * histogram.sum())
    return tuple(float(BINS[place]) for place in places)


def _spans(values: tuple[float, ...] | None) -> str:
    return "–" if values is None else " ".join(f"{value:.3g}" for value in values)


def _draw_row(draw: PIL.ImageDraw.ImageDraw, row: ClassStatistics, top: int, most: int) -> None:
    images, middle = sum(row.images.values()), top + ROW // 2
    draw.text((PAD, top + 2), row.category.name, fill="black")
    left = PAD + LABEL
    draw.rectangle(
        (left, top + 3, left + max(1, BAR * images // most), top + ROW - 4), fill=row.category.color, outline="gray"
    )
    draw.text((left + BAR * images // most + 4, top + 2), str(images), fill="black")
    if row.sizes:
        low, median, high = (_place(value) for value in row.sizes)
        draw.line((low, middle, high, middle), fill=(60, 60, 60), width=3)
        draw.ellipse((median - 4, middle - 4, median + 4, middle + 4), fill=row.category.color, outline="black")


def _draw_scale(draw: PIL.ImageDraw.ImageDraw, top: int) -> None:
    for value in (1, 4, 16, 64, 256, 1024):
        place = _place(value)
        draw.line((place, top, place, top + 4), fill="black")
        draw.text((place - 6, top + 5), str(value), fill="black")


def _place(pixels: float) -> float:
    return float(PAD + LABEL + BAR + 60 + SPAN * np.log2(max(pixels, 1)) / 10)
