"""The prepared layout, every path of it, named once. It is EarthSynth's, with what it lacks added.

    OUT/
      images/<stem>.png                        RGB
      masks/<stem>.png                         8-bit category ids, 0 = background, 255 = ignore
      category_images/<stem>_<category>.png    hard links to the image          ┐ category augmentation: one class of
      category_masks/<stem>_<category>.png     the ids of one category, else 0  ┘ a mask at a time
      train.jsonl                              a line for every image, and one for every category image
      instances/<stem>.png                     16-bit instance ids, 0 = none; if the dataset knows objects
      instances.jsonl                          a line for every image: the full mask of each object, also where covered,
                                               and `given`, the corners that its source drew (polygons, box, corners)
      dataset.json                             names, terms, classes, and per image its group, split, metres per pixel, place
      .earthsynth-factory.json  prepare.jsonl  how it was made; the journal of scenes that are done
      imagery.json                             the stretch and the bands of images that have more than 8 bits or three
      problems.txt                             what was skipped and why

The layout of the first five and the keys of train.jsonl: EarthSynth's public repository. Paths in train.jsonl are relative
to OUT. An image without any class has no line in train.jsonl, as there. `prepare` writes all of it, exports the part that
needs no journal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FORMAT = "earthsynth-factory/dataset"
VERSION = 1
DOCUMENT, LIST = "dataset.json", "train.jsonl"
IMAGES, MASKS, INSTANCES = "images", "masks", "instances"
CATEGORY_IMAGES, CATEGORY_MASKS = "category_images", "category_masks"

FOLDERS = (IMAGES, MASKS, INSTANCES, CATEGORY_IMAGES, CATEGORY_MASKS)
"""The folders in it."""


@dataclass(frozen=True, slots=True)
class PreparedLayout:
    """The paths of a prepared dataset."""

    root: Path

    @property
    def dataset(self) -> Path:
        return self.root / DOCUMENT

    @property
    def train(self) -> Path:
        return self.root / LIST

    @property
    def instance_lines(self) -> Path:
        return self.root / "instances.jsonl"

    @property
    def imagery(self) -> Path:
        return self.root / "imagery.json"

    @property
    def journal(self) -> Path:
        return self.root / "prepare.jsonl"

    @property
    def problems(self) -> Path:
        return self.root / "problems.txt"

    def image(self, name: str) -> Path:
        return self.root / whole_image(name)

    def mask(self, stem: str) -> Path:
        return self.root / whole_mask(stem)

    def instances(self, stem: str) -> Path:
        return self.root / INSTANCES / f"{stem}.png"

    def category_image(self, stem: str, category: str, suffix: str = ".png") -> Path:
        return self.root / category_image(stem, category, suffix)

    def category_mask(self, stem: str, category: str) -> Path:
        return self.root / category_mask(stem, category)


def whole_image(name: str) -> str:
    """The image of a line with all its categories; name: with its suffix."""
    return f"{IMAGES}/{name}"


def whole_mask(stem: str) -> str:
    """Its mask."""
    return f"{MASKS}/{stem}.png"


def category_image(stem: str, category: str, suffix: str = ".png") -> str:
    """The image of a single-category line."""
    return f"{CATEGORY_IMAGES}/{stem}_{_word(category)}{suffix}"


def category_mask(stem: str, category: str) -> str:
    """The mask of a single-category line: that category's id, else 0."""
    return f"{CATEGORY_MASKS}/{stem}_{_word(category)}.png"


def _word(category: str) -> str:
    """The name as part of a file name; a slash in it must not lead into another folder."""
    return re.sub(r"[\s/\\]", "_", category)
