"""Classification: `<split>/<class>/<image>` for torchvision's ImageFolder, and `labels.csv` for many labels an image.

The class of an image is its target; if it has none, as in real data, the target that covers most of it, and background
if no target occurs. Folders are percent-encoded if a class name has what a file name cannot (`urllib.parse.unquote`
gives it back). labels.csv has a row an image (path, split, class) and a column of 0 and 1 for every class.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Literal

import numpy as np

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, Category
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.walk import Walk, every_split, image_classes
from earthsynth_factory.io.tables import cell


class ImageFolderSpec(ExportSpec):
    """Images by class, and a table of all their classes."""

    kind: Literal["imagefolder"] = "imagefolder"
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        columns, losses, walk = image_classes(store), Losses(), Walk(store, progress)
        seen: dict[str, set[str]] = {split: set() for split in store.splits}
        with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["image", "split", "class", *(cell(category.name) for category in columns)])
            for record in walk:
                main = store.taxonomy[_main_class(store, record)].name
                image = store.image_file(record)
                path = Path(record.split, folder_name(main), record.stem + image.suffix)
                put_image(image, out / path, self.images)
                table.writerow([*map(cell, (path.as_posix(), record.split, main)), *_flags(record, columns)])
                seen[record.split].add(main)
                losses.count("images of several classes, of which the folder says one", len(_named(record)) > 1)
        return ExportSummary(
            "imagefolder", walk.counts, (*losses.notes("classes"), *_level(out, seen, _elsewhere(store)))
        )


def folder_name(name: str) -> str:
    """The class as a folder on any system; `urllib.parse.unquote` gives it back."""
    return re.sub(r'[%/\\:*?"<>|\x00-\x1f]|^\.|[. ]$', lambda found: f"%{ord(found[0]):02X}", name)


def _main_class(store: LabelledDataset, record: SampleRecord) -> int:
    if record.category is not None:
        return record.category
    wanted = sorted((store.targets & set(record.classes)) - {BACKGROUND})
    if len(wanted) < 2:
        return wanted[0] if wanted else BACKGROUND
    pixels = np.bincount(store.mask(record).ravel(), minlength=256)
    return wanted[int(pixels[wanted].argmax())]


def _named(record: SampleRecord) -> set[int]:
    return set(record.classes) - {BACKGROUND}


def _flags(record: SampleRecord, columns: list[Category]) -> list[int]:
    return [int(category.id in record.classes) for category in columns]


def _elsewhere(store: LabelledDataset) -> set[str]:
    """The classes of images in splits that are not exported now."""
    others = (record for record in every_split(store).samples() if record.split not in store.splits)
    return {store.taxonomy[_main_class(store, record)].name for record in others}


def _level(out: Path, seen: dict[str, set[str]], elsewhere: set[str]) -> list[str]:
    """Give every split a folder for every class, since readers number the classes by the folders they find."""
    every, notes = elsewhere.union(*seen.values()), []
    for split, names in seen.items():
        for name in every:
            (out / split / folder_name(name)).mkdir(parents=True, exist_ok=True)
        if lacking := sorted(every - names):
            notes.append(
                f"{split} has no image of {', '.join(lacking)}: give ImageFolder allow_empty=True for the empty folders"
            )
    return notes
