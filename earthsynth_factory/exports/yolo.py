"""YOLO, as Ultralytics reads it: `images/<split>`, `labels/<split>/<stem>.txt`, `data.yaml`.

A line is `class` and numbers that are shares of the image's width and height, classes counting from 0 in the order of
their ids. An image without objects has no text file, by which Ultralytics knows a background image. `data.yaml` names
folders relative to itself. There is no word for a crowd: such regions are left out and counted.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import orjson
from typing_extensions import override

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import Category
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.shapes import drawn, fidelity, oriented, polygons, upright_box
from earthsynth_factory.exports.walk import Walk, crowd, difficult, object_classes
from earthsynth_factory.geometry.convex import Points, convex_iou, shared
from earthsynth_factory.geometry.given import one_ring
from earthsynth_factory.io.atomic import write_bytes


class _YoloSpec(ExportSpec, ABC):
    """What the three share; each says how an object becomes points."""

    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""
    measured: ClassVar[str]

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        classes, losses, walk = object_classes(store), Losses(), Walk(store, progress)
        numbers = {category.id: number for number, category in enumerate(classes)}
        for record in walk:
            image = store.image_file(record)
            put_image(image, out / "images" / record.split / (record.stem + image.suffix), self.images)
            text = "".join(self._lines(record, numbers, losses))
            if text:
                write_bytes(out / "labels" / record.split / f"{record.stem}.txt", text.encode(), durable=False)
        write_bytes(out / "data.yaml", _data_yaml(store.splits, classes))
        notes = (*losses.notes(self.measured), *_split_notes(store.splits))
        return ExportSummary(self.kind, walk.counts, notes, _figures(losses))

    def _lines(self, record: SampleRecord, numbers: Mapping[int, int], losses: Losses) -> list[str]:
        lines = []
        for instance in record.instances:
            if crowd(instance):
                losses.count("crowd regions left out, YOLO has none")
                continue
            losses.count("objects marked difficult, for which YOLO has no word", difficult(instance))
            shares = self._points(record, instance, losses) / (record.width, record.height)
            digits = _digits(record)
            text = " ".join(f"{share:.{digits}f}" for share in shares.ravel())
            lines.append(f"{numbers[instance.category]} {text}\n")
        return lines

    @abstractmethod
    def _points(self, record: SampleRecord, instance: Instance, losses: Losses) -> Points:
        """The object in pixels; what it loses goes to `losses`."""


class YoloDetectSpec(_YoloSpec):
    """Lines `class x y width height`: the box's centre and size."""

    kind: Literal["yolo-detect"] = "yolo-detect"
    measured = "boxes"

    @override
    def _points(self, record: SampleRecord, instance: Instance, losses: Losses) -> Points:
        x, y, width, height = upright_box(record, instance)
        return np.array([[x + width / 2, y + height / 2], [width, height]])


class YoloSegmentSpec(_YoloSpec):
    """Lines `class x y x y …`: what the source drew, or the edges of the mask's pixels; parts and holes are joined by cuts.

    Boxes that a trainer derives from it are those of yolo-detect. Readers that fill it with `cv2.fillPoly` draw the pixels
    under the line too, one more at the right and below.
    """

    kind: Literal["yolo-segment"] = "yolo-segment"
    measured = "outlines, filled, against the masks"

    def _points(self, record: SampleRecord, instance: Instance, losses: Losses) -> Points:
        line = one_ring(polygons(record, instance))
        if drawn(instance) is None:
            losses.measure(fidelity(record, instance, [line]))
        return np.reshape(line, (-1, 2)).astype(np.float64)


class YoloObbSpec(_YoloSpec):
    """Lines `class x1 y1 … x4 y4`: the source's corners, or the smallest rectangle, clockwise from the upper left.

    Ultralytics refuses a file with any number outside 0–1. Where a rectangle leaves the image, either its corners are moved
    onto the border or the upright box is written, whichever agrees better with the part that is inside.
    """

    kind: Literal["yolo-obb"] = "yolo-obb"
    measured = "rectangles that leave the image, as written against their part inside it"

    def _points(self, record: SampleRecord, instance: Instance, losses: Losses) -> Points:
        corners, size = oriented(record, instance), np.array([record.width, record.height])
        moved = np.clip(corners, 0, size)
        if np.array_equal(corners, moved):
            return corners
        inside = shared(corners, _upright(0, 0, *size))
        iou, points = max(
            ((convex_iou(found, inside), found) for found in (moved, _upright(*upright_box(record, instance)))),
            key=itemgetter(0),
        )
        losses.measure(iou)
        return points


def _digits(record: SampleRecord) -> int:
    """Decimals of a share: six, more if they would be coarser than a thousandth of a pixel."""
    return max(6, 3 + math.ceil(math.log10(max(record.width, record.height))))


def _upright(x: float, y: float, width: float, height: float) -> Points:
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], dtype=np.float64)


def _data_yaml(splits: list[str], classes: list[Category]) -> bytes:
    """Texts are quoted as JSON does, which is YAML too: a class called `no` stays a text."""
    folders = {split: f"images/{split}" for split in splits}
    # Ultralytics does not start without both keys.
    for needed in ("train", "val"):
        folders.setdefault(needed, f"images/{splits[0]}" if splits else "images")
    lines = [f"{_quoted(split)}: {_quoted(folder)}" for split, folder in folders.items()]
    names = [f"  {number}: {_quoted(category.name)}" for number, category in enumerate(classes)]
    return "\n".join([*lines, "names:" if names else "names: {}", *names, ""]).encode()


def _split_notes(splits: list[str]) -> list[str]:
    missing = [split for split in ("train", "val") if split not in splits]
    return [f"no split {split!r}: data.yaml gives {splits[0]!r} in its place" for split in missing if splits]


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _figures(losses: Losses) -> dict[str, Any]:
    return {"mean_iou": losses.mean, "worst_iou": losses.worst} if losses.objects else {}
