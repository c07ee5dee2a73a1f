"""EarthSynth's own layout, so that a dataset can train the next model: a folder a split with `train.jsonl` in it.

    <split>/{images,masks}/…  <split>/{category_images,category_masks}/…  <split>/train.jsonl

Masks hold ids as grey levels, which is what EarthSynth's trainer shows its network. With `augment` every category of a mask
also stands alone (category augmentation). An image without any class keeps its files but has no line, as in EarthSynth's
own list.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.prepared.train_list import training_lines
from earthsynth_factory.datasets.prepared.writer import new_train_list, put_categories, put_item
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.walk import Walk


class EarthSynthSpec(ExportSpec):
    """Images, id masks and the list of both with their texts."""

    kind: Literal["earthsynth"] = "earthsynth"
    augment: bool = True
    """Category augmentation: one more image and mask for each category of an image."""
    images: Images = Field(default="link")
    """`link`, `copy` or `none`. Copies are made for every category image too."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        losses, walk = Losses(), Walk(store, progress)
        with ExitStack() as stack:
            lists = {split: stack.enter_context(new_train_list(out / split)) for split in store.splits}
            for record in walk:
                categories = [category for category in record.classes if category != BACKGROUND]
                self._files(store, record, out / record.split, categories, losses)
                name = record.stem + store.image_file(record).suffix
                lines = training_lines(record.stem, name, categories, store.taxonomy, self.augment)
                lists[record.split](lines)
                losses.count("images without any class: files, but no line in train.jsonl", not lines)
        return ExportSummary("earthsynth", walk.counts, losses.notes("masks"))

    def _files(
        self,
        store: LabelledDataset,
        record: SampleRecord,
        folder: Path,
        categories: list[int],
        losses: Losses,
    ) -> None:
        image, mask = store.image_file(record), store.mask(record)
        ignored = mask == IGNORE
        losses.count("pixels of which nothing is known, written as background", int(ignored.sum()))
        mask = np.where(ignored, np.uint8(BACKGROUND), mask)
        put = partial(put_image, image, images=self.images)
        put_item(folder, record.stem, record.stem + image.suffix, put, mask, None)
        if self.augment:
            names = {category: store.taxonomy[category].name for category in categories}
            put_categories(folder, record.stem, image.suffix, put, mask, names)
