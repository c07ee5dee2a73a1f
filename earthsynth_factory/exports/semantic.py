"""Semantic masks in mmsegmentation's layout: `img_dir/<split>`, `ann_dir/<split>`, `classes.json`.

Masks hold train ids 0 … C−1 as mmsegmentation's `CustomDataset` expects them, with a palette that any viewer shows.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.licences import terms_of
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Category
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Names, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.walk import every_split
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.png import encode_png


class SemanticSpec(ExportSpec):
    """Images and palette PNG masks for segmentation."""

    kind: Literal["semantic"] = "semantic"
    classes: Literal["present", "all"] | Names = "present"  # type: ignore[assignment]  # wider than the base's
    """`present`: the classes that occur in any split, 0 … C−1 in the order of their ids. `all`: the whole taxonomy. Or
    names of classes: all else is background."""
    ignore_background: bool = False
    """Background as 255 (ignored in training) in place of a class of its own."""
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        chosen = self._chosen(store)
        lut = np.full(256, IGNORE, np.uint8)
        lut[[category.id for category in chosen]] = np.arange(len(chosen), dtype=np.uint8)
        palette = _palette(chosen)
        counts: Counter[str] = Counter()
        for record in store.samples():
            mask = encode_png(lut[store.mask(record)], palette)
            write_bytes(out / "ann_dir" / record.split / f"{record.stem}.png", mask, durable=False)
            image = store.image_file(record)
            put_image(image, out / "img_dir" / record.split / (record.stem + image.suffix), self.images)
            counts[record.split] += 1
            progress(1)
        write_json(out / "classes.json", self._table(chosen))
        return ExportSummary("semantic", {split: counts[split] for split in store.splits}, self._notes(store))

    def _notes(self, store: LabelledDataset) -> tuple[str, ...]:
        if self.ignore_background or terms_of(store).dense:
            return ()
        return (
            "background is whatever nobody labelled, not a class of its own; semantic.ignore_background=true makes it 255",
        )

    def _chosen(self, store: LabelledDataset) -> list[Category]:
        present = {class_id for record in every_split(store).samples() for class_id in record.classes} | {BACKGROUND}
        return [
            category
            for category in sorted(store.taxonomy, key=lambda category: category.id)
            if (self.classes == "all" or category.id in present)
            and not (self.ignore_background and category.id == BACKGROUND)
        ]

    def _table(self, chosen: list[Category]) -> dict[str, object]:
        return {
            "classes": [category.name for category in chosen],
            "palette": [list(category.color) for category in chosen],
            "ids": [category.id for category in chosen],
            "ignore_index": IGNORE,
            "reduce_zero_label": False,
        }


def _palette(chosen: list[Category]) -> list[int]:
    flat = [channel for category in chosen for channel in category.color]
    return flat + [0] * (765 - len(flat)) + [255, 255, 255]
