"""DOTA: `<split>/images/<stem>.png` and `<split>/labelTxt/<stem>.txt` with oriented boxes.

A line is `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`: pixels, the source's own corners in its order if it gave them, else
the smallest rectangle around the object, clockwise from the corner nearest the upper left (a mask has no front). An image
without objects has an empty file, since readers list the text files. Names are written with hyphens for blanks, as DOTA's own
are; `classes.json` has both spellings. A crowd is `difficult`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_png
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.shapes import oriented
from earthsynth_factory.exports.walk import Walk, crowd, difficult, object_classes
from earthsynth_factory.io.atomic import write_bytes, write_json


class DotaSpec(ExportSpec):
    """Oriented boxes for mmrotate and the DOTA devkit."""

    kind: Literal["dota"] = "dota"
    header: bool = False
    """Begin each file with `imagesource:` and `gsd:` as DOTA does. The devkit passes over them, mmrotate stumbles."""
    images: Images = Field(default="link")
    """`link`, `copy` or `none`. Images that are no PNG are written as PNG, which DOTA's readers ask for."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        classes, losses, walk = object_classes(store), Losses(), Walk(store, progress)
        words = {category.id: hyphened(category.name) for category in classes}
        for record in walk:
            put_png(store, record, out / record.split / "images" / f"{record.stem}.png", self.images)
            lines = self._head(store, record)
            for instance in record.instances:
                lines.append(_line(record, instance, words[instance.category]))
                if crowd(instance):
                    losses.count("crowd regions written as difficult")
            target = out / record.split / "labelTxt" / f"{record.stem}.txt"
            write_bytes(target, "".join(lines).encode(), durable=False)
        write_json(out / "classes.json", {words[category.id]: category.name for category in classes})
        return ExportSummary("dota", walk.counts, losses.notes("boxes"))

    def _head(self, store: LabelledDataset, record: SampleRecord) -> list[str]:
        if not self.header:
            return []
        scale = f"{record.metres_per_pixel:g}" if record.metres_per_pixel else "null"
        return [f"imagesource:{hyphened(store.name)}\n", f"gsd:{scale}\n"]


def hyphened(name: str) -> str:
    """The name in one word. Unique, since names that differ in no more than this are one name to a taxonomy."""
    return re.sub(r"\s+", "-", name.strip())


def _line(record: SampleRecord, instance: Instance, word: str) -> str:
    corners = " ".join(map(_text, oriented(record, instance).ravel().tolist()))
    return f"{corners} {word} {int(difficult(instance))}\n"


def _text(number: float) -> str:
    """One decimal at least, as DOTA has it, and as many as there are up to four."""
    # Adding 0 turns -0.0 into 0.0.
    whole, _, rest = f"{round(number, 4) + 0.0:.4f}".partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}"
