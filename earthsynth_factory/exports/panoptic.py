"""COCO panoptic: `annotations/panoptic_<split>.json`, `panoptic_<split>/<stem>.png`, `<split>/<image>`.

A PNG pixel is R + 256 G + 65536 B: 0 is void (background), an object's instance id, or for land cover 65536 plus its
category id. What is of a countable class but of no object is a crowd. Every pixel is of one segment, so that of an
object which others cover only the seen part is left; that loss is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.coco_file import CocoFile, about, image_entry
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.walk import Walk, crowd
from earthsynth_factory.geometry.boxes import tight_boxes
from earthsynth_factory.geometry.runs import find_runs
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png

_REGION = 1 << 16
"""Added to a category id: beyond any instance id, which has 16 bits."""

SegmentMap = npt.NDArray[np.uint32]
"""(H, W) segment ids, 0 = void."""


class PanopticSpec(ExportSpec):
    """Things and land cover in one picture."""

    kind: Literal["coco-panoptic"] = "coco-panoptic"
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        losses, walk = Losses(), Walk(store, progress)
        with ExitStack() as stack:
            files = {
                split: stack.enter_context(
                    CocoFile(out / "annotations" / f"panoptic_{split}.json", _head(store, split))
                )
                for split in store.splits
            }
            for record in walk:
                image = store.image_file(record)
                name = record.stem + image.suffix
                put_image(image, out / record.split / name, self.images)
                ids = _segments(store, record)
                picture = out / f"panoptic_{record.split}" / f"{record.stem}.png"
                write_bytes(picture, encode_png(_painted(ids)), durable=False)
                infos = _infos(store, record, ids)
                _measure(record, infos, losses)
                entry = {"image_id": record.slot + 1, "file_name": picture.name, "segments_info": list(infos.values())}
                files[record.split].add(image_entry(record, name), [entry])
        notes = losses.notes("objects that others cover, their seen part against the whole")
        return ExportSummary("coco-panoptic", walk.counts, notes)


def _segments(store: LabelledDataset, record: SampleRecord) -> SegmentMap:
    objects, mask = store.instances(record).astype(np.uint32), store.mask(record).astype(np.uint32)
    void = (mask == BACKGROUND) | (mask == IGNORE)
    regions = np.where(void, np.uint32(0), mask + np.uint32(_REGION))
    return np.where(objects > 0, objects, regions)


def _painted(ids: SegmentMap) -> Image:
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8)


def _infos(store: LabelledDataset, record: SampleRecord, ids: SegmentMap) -> dict[int, dict[str, Any]]:
    """Segment id → its entry in `segments_info`, ascending."""
    objects = {instance.id: instance for instance in record.instances}
    # Runs are found in 16-bit maps: segments by their place in the list of ids, void first.
    known = np.unique(np.append(ids, np.uint32(0)))
    runs = find_runs(np.searchsorted(known, ids).astype(np.uint16))
    infos = {}
    for place, box, area in zip(runs.ids, tight_boxes(runs), runs.areas(), strict=True):
        segment = int(known[place])
        found = objects.get(segment)
        category = found.category if found else segment - _REGION
        infos[segment] = {
            "id": segment,
            "category_id": category,
            "area": int(area),
            "bbox": box.tolist(),
            "iscrowd": int(crowd(found) if found else store.taxonomy[category].thing),
        }
    return infos


def _measure(record: SampleRecord, infos: Mapping[int, Mapping[str, Any]], losses: Losses) -> None:
    """What covering costs each object: the seen part is of the whole, so that their areas give the overlap."""
    for instance in record.instances:
        seen = infos[instance.id]["area"] if instance.id in infos else 0
        if not seen:
            losses.count("objects left out, others cover them whole")
        elif seen < instance.area:
            losses.measure(seen / instance.area)


def _head(store: LabelledDataset, split: str) -> dict[str, Any]:
    categories = [
        {
            "id": category.id,
            "name": category.name,
            "supercategory": "target" if category.id in store.targets else "other",
            "isthing": int(category.thing),
            "color": list(category.color),
        }
        for category in store.taxonomy
        if category.id != BACKGROUND
    ]
    return {**about(store, split), "categories": categories}
