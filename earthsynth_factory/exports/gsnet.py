"""GSNet's LandDiscover50K: `LandDiscover50K/{TR_Image,GT_ID}/<stem>.png` and `classes.json`, a flat list of names.

Splits but `train` stand beside it as `LandDiscover50K_<split>`. GSNet knows 40 classes, ids 0–39 of ours. EarthSynth's
40–68 are finer: each is written as the class it is a kind of (`parent` in categories.toml), or with `beyond: ignore` as 255,
which GSNet's loss passes over; so are categories of a user's own, which have no such class. What became of each is counted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.domain.categories import rows
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import IGNORE, Taxonomy, earthsynth
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_png
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.walk import Walk
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.png import encode_png

CLASSES = 40
PARENTS = {row.id: earthsynth().named(row.parent).id for row in rows() if row.parent}
"""Id 40–68 → the id below 40 that it is a kind of."""


class GsnetSpec(ExportSpec):
    """Semantic masks with the ids of LandDiscover50K."""

    kind: Literal["gsnet"] = "gsnet"
    beyond: Literal["parent", "ignore"] = "parent"
    """Ids 40–68: `parent` writes the class they are a kind of, `ignore` 255."""
    images: Images = Field(default="link")
    """`link`, `copy` or `none`. Images that are no PNG are written as PNG, which GSNet asks for."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        table, walk = self._table(), Walk(store, progress)
        pixels, losses = np.zeros(256, np.int64), Losses()
        mixed = len({_numeric(record.stem) for record in store.samples()}) == 2
        for record in walk:
            stem = f"image-{record.stem}" if mixed and _numeric(record.stem) else record.stem
            losses.count("images called image-…, since detectron2 cannot sort numbers among names", stem != record.stem)
            folder = out / ("LandDiscover50K" if record.split == "train" else f"LandDiscover50K_{record.split}")
            mask = store.mask(record)
            pixels += np.bincount(mask.ravel(), minlength=256)
            write_bytes(folder / "GT_ID" / f"{stem}.png", encode_png(table[mask]), durable=False)
            put_png(store, record, folder / "TR_Image" / f"{stem}.png", self.images)
        write_json(out / "classes.json", [category.name for category in earthsynth()][:CLASSES])
        return ExportSummary("gsnet", walk.counts, (*_notes(store.taxonomy, table, pixels), *losses.notes("masks")))

    def _table(self) -> npt.NDArray[np.uint8]:
        """(256,) our id → GSNet's."""
        table = np.full(256, IGNORE, np.uint8)
        table[:CLASSES] = np.arange(CLASSES)
        if self.beyond == "parent":
            table[list(PARENTS)] = list(PARENTS.values())
        return table


def _numeric(stem: str) -> bool:
    """Whether detectron2 takes the stem for a number."""
    try:
        int(stem)
    except ValueError:
        return False
    return True


def _notes(taxonomy: Taxonomy, table: npt.NDArray[np.uint8], pixels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """What became of the ids from 40 on, by the class they were written as."""
    found: dict[str, Counter[str]] = {}
    for index in map(int, np.flatnonzero(pixels[CLASSES:IGNORE]) + CLASSES):
        written = "255 (ignored)" if table[index] == IGNORE else repr(earthsynth()[int(table[index])].name)
        found.setdefault(written, Counter())[taxonomy[index].name] = int(pixels[index])
    return tuple(
        f"written as {written}: " + ", ".join(f"{name} ({count:,} pixels)" for name, count in names.items())
        for written, names in found.items()
    )
