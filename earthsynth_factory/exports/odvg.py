"""ODVG, what MM-Grounding-DINO trains on: a JSON line an image, as detection (OD) and as visual grounding (VG).

    <split>/<image>
    annotations/<split>_od.json   boxes with labels of label_map.json, which counts from 0 (key `label_map_file`)
    annotations/<split>_vg.json   the caption, and for each class it names the boxes and where it stands in the text
    annotations/label_map.json

Boxes are x1, y1, x2, y2 in pixels. An image without objects keeps its line, with an empty list. There is no word for a
crowd: such regions are left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import Category
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.pairs import pair_fields
from earthsynth_factory.exports.shapes import DIGITS, upright_box
from earthsynth_factory.exports.walk import Walk, crowd, difficult, object_classes
from earthsynth_factory.io.atomic import write_bytes


class OdvgSpec(ExportSpec):
    """JSON lines for open-vocabulary detectors."""

    kind: Literal["odvg"] = "odvg"
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        classes, losses, walk = object_classes(store), Losses(), Walk(store, progress)
        numbers = {category.id: number for number, category in enumerate(classes)}
        folder = out / "annotations"
        folder.mkdir()
        with ExitStack() as stack:
            files = {
                (split, form): stack.enter_context((folder / f"{split}_{form}.json").open("wb"))
                for split in store.splits
                for form in ("od", "vg")
            }
            for record in walk:
                image = store.image_file(record)
                name = record.stem + image.suffix
                put_image(image, out / record.split / name, self.images)
                kept = _countable(record, losses)
                _append(files[record.split, "od"], record, name, detection=_detection(store, record, kept, numbers))
                _append(files[record.split, "vg"], record, name, grounding=_grounding(store, record, kept, losses))
        # Not sorted as texts, so that 10 follows 9.
        label_map = {str(number): category.name for number, category in enumerate(classes)}
        write_bytes(folder / "label_map.json", orjson.dumps(label_map, option=orjson.OPT_INDENT_2) + b"\n")
        return ExportSummary("odvg", walk.counts, losses.notes("boxes"))


def _countable(record: SampleRecord, losses: Losses) -> list[Instance]:
    kept = [instance for instance in record.instances if not crowd(instance)]
    losses.count("crowd regions left out, ODVG has none", len(record.instances) - len(kept))
    losses.count("objects marked difficult, for which ODVG has no word", sum(map(difficult, kept)))
    return kept


def _detection(
    store: LabelledDataset, record: SampleRecord, kept: Sequence[Instance], numbers: Mapping[int, int]
) -> dict[str, Any]:
    return {
        "instances": [
            {
                "bbox": _corners(record, instance),
                "label": numbers[instance.category],
                "category": store.taxonomy[instance.category].name,
            }
            for instance in kept
        ]
    }


def _grounding(
    store: LabelledDataset, record: SampleRecord, kept: Sequence[Instance], losses: Losses
) -> dict[str, Any]:
    boxes: dict[int, list[list[float]]] = {}
    for instance in kept:
        boxes.setdefault(instance.category, []).append(_corners(record, instance))
    caption, spans = grounded(record.prompt, [store.taxonomy[category] for category in sorted(boxes)])
    losses.count("captions to which classes were added that the prompt does not name", caption != record.prompt)
    regions = [
        {"bbox": boxes[category], "phrase": caption[start:end], "tokens_positive": [[start, end]]}
        for category, (start, end) in sorted(spans.items(), key=lambda item: item[1])
    ]
    return {"caption": caption, "regions": regions}


def _append(file: IO[bytes], record: SampleRecord, name: str, **form: Any) -> None:
    line = {"filename": name, "height": record.height, "width": record.width, **form, **pair_fields(record)}
    file.write(orjson.dumps(line) + b"\n")


def _corners(record: SampleRecord, instance: Instance) -> list[float]:
    x, y, width, height = upright_box(record, instance)
    return [x, y, round(x + width, DIGITS), round(y + height, DIGITS)]


Span = tuple[int, int]
"""First character and the one after the last."""


def grounded(caption: str, categories: Iterable[Category]) -> tuple[str, dict[int, Span]]:
    """The caption, and category id → where it names the category, by its words or its name.

    A category that it does not name is added at its end. Longer names go first and no character serves twice, so that
    `vehicle` is not found in `small vehicle`.
    """
    spans: dict[int, Span] = {}
    for category in sorted(categories, key=lambda category: (-len(category.words), category.id)):
        found = _find(caption, (category.words, category.name), spans.values())
        if found is None:
            caption += f", {category.words}"
            found = len(caption) - len(category.words), len(caption)
        spans[category.id] = found
    return caption, spans


def _find(caption: str, wordings: Iterable[str], taken: Iterable[Span]) -> Span | None:
    """The first free place of a wording as whole words, whatever its case."""
    used = list(taken)
    for wording in wordings:
        for match in re.finditer(rf"(?<!\w){re.escape(wording)}(?!\w)", caption, re.IGNORECASE):
            if all(match.end() <= start or end <= match.start() for start, end in used):
                return match.span()
    return None
