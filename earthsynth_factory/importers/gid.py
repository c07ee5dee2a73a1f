"""GID land cover in 224-pixel crops (Gaofen-2, about 4 m): five classes and "undefined"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earthsynth_factory.domain.seeds import unit
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.base import DatasetInfo, DatasetWriter, ImportSummary, Item, Split, files, read_mask

METRES_PER_PIXEL = 4.0
"""Gaofen-2's multispectral ground sampling; that the crops were not resampled is our assumption."""

HELD_OUT = 0.1
"""Share of files held out, chosen by a hash of its name: the crops do not say which scene they come from."""

# Label 0 is a class of its own here, not background.
_NAMES = ("urban land", "agriculture land", "forest land", "grass", "water", "background")


class Gid:
    """Reads `{images,labels}`: one label PNG a crop."""

    name = "gid"
    info = DatasetInfo(
        name="GID (five classes), 224-pixel crops",
        source="Gaofen Image Dataset (Gaofen-2)",
        licence="unclear; research use assumed",
        credit="Gaofen Image Dataset, Wuhan University",
        dense=True,
    )

    def run(self, source: Path, target: Path) -> ImportSummary:
        """Raises `SourceError` on a label above 5 or without its image."""
        table = np.array([earthsynth().named(name).id for name in _NAMES], np.uint8)
        writer = DatasetWriter(target, self.info)
        for label in files(source / "labels", ".png"):
            raw = read_mask(label)
            if raw.max() >= len(table):
                raise SourceError(
                    f"{label}: label {raw.max()} is above {len(table) - 1}; this is another edition of GID"
                )
            held_out = unit(0, "gid", label.stem) < HELD_OUT
            image = source / "images" / f"{label.stem}.jpg"
            split: Split = "test" if held_out else "train"
            writer.add(Item(label.stem, image, table[raw], None, label.stem, split, METRES_PER_PIXEL))
        return writer.finish()
