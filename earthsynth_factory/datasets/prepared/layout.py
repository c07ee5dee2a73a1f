"""The prepared layout, every path of it, named once. It is EarthSynth's, with what it lacks added.

    OUT/
      images/<stem>.png                        RGB
      masks/<stem>.png                         8-bit category ids, 0 = background, 255 = ignore
      category_images/<stem>_<category>.png    hard links to the image          ┐ category augmentation: one class of
      category_masks/<stem>_<category>.png     the ids of one category, else 0  ┘ a mask at a time
      train.jsonl                              a line for every image, and one for every category image
      instances/<stem>.png                     16-bit instance ids, 0 = none; where the dataset knows objects
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

from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.datasets.prepared.training_list import category_image, category_mask, whole_image, whole_mask

FORMAT = "earthsynth-factory/dataset"
VERSION = 1


FOLDERS = ("images", "masks", "instances", "category_images", "category_masks")
"""The folders in it."""


@dataclass(frozen=True, slots=True)
class PreparedLayout:
    """The paths of a prepared dataset."""

    root: Path

    @property
    def dataset(self) -> Path:
        return self.root / "dataset.json"

    @property
    def train(self) -> Path:
        return self.root / "train.jsonl"

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
        return self.root / "instances" / f"{stem}.png"

    def category_image(self, stem: str, category: str, suffix: str = ".png") -> Path:
        return self.root / category_image(stem, category, suffix)

    def category_mask(self, stem: str, category: str) -> Path:
        return self.root / category_mask(stem, category)
