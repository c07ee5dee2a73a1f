"""COCO instances: one JSON a split, streamed. A mask is written as compressed RLE, what a source drew as it drew it.

Ids: category ids are the taxonomy's, image ids the slot numbers plus one, annotation ids count from 1 over all splits in
slot order. Evaluators take an annotation id of 0 for "no match", so none is ever 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.coco_file import CocoFile, about, image_entry
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.shapes import drawn, fidelity, polygons, upright_box
from earthsynth_factory.exports.walk import crowd


class CocoSpec(ExportSpec):
    """`annotations/instances_<split>.json` and `<split>/<image>.png`."""

    kind: Literal["coco"] = "coco"
    polygons: bool = False
    """Write polygons in place of the run lengths of masks; a hole becomes a cut. What they lose is measured and reported."""
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        with ExitStack() as stack:
            files = {
                split: stack.enter_context(
                    CocoFile(out / "annotations" / f"instances_{split}.json", _head(store, split))
                )
                for split in store.splits
            }
            writer = _Writer(self, store, out, files)
            for record in store.samples():
                writer.add(record)
                progress(1)
        return writer.summary()


class _Writer:
    """Hands every sample to its split's file; counts annotations over all of them."""

    def __init__(self, spec: CocoSpec, store: LabelledDataset, out: Path, files: Mapping[str, CocoFile]) -> None:
        self._spec = spec
        self._store = store
        self._out = out
        self._files = files
        self._annotations = 0
        self._losses = Losses()

    def add(self, record: SampleRecord) -> None:
        """Write one sample: its image entry, its annotations, its image."""
        image = self._store.image_file(record)
        name = record.stem + image.suffix
        put_image(image, self._out / record.split / name, self._spec.images)
        self._files[record.split].add(image_entry(record, name), self._annotated(record))

    def _annotated(self, record: SampleRecord) -> Iterator[dict[str, Any]]:
        for instance in record.instances:
            self._annotations += 1
            yield {
                "id": self._annotations,
                "image_id": record.slot + 1,
                "category_id": instance.category,
                "segmentation": self._segmentation(record, instance),
                "area": instance.area,
                "bbox": list(upright_box(record, instance)),
                "iscrowd": int(crowd(instance)),
                "visible": instance.visible,
                "truncated": instance.truncated,
                "difficult": "difficult" in instance.flags,
            }

    def _segmentation(self, record: SampleRecord, instance: Instance) -> Any:
        # Evaluators take a crowd's run lengths alone.
        as_drawn = drawn(instance) is not None and not crowd(instance)
        if not (as_drawn or self._spec.polygons):
            return {"size": [record.height, record.width], "counts": instance.rle}
        rings = polygons(record, instance)
        if not as_drawn:
            self._losses.measure(fidelity(record, instance, rings))
        return rings

    def summary(self) -> ExportSummary:
        counts = {split: file.images for split, file in self._files.items()}
        figures = {"annotations": self._annotations}
        if not self._losses.objects:
            return ExportSummary("coco", counts, figures=figures)
        notes = self._losses.notes("polygons against the masks")
        return ExportSummary("coco", counts, notes, {**figures, "polygon_iou": self._losses.mean})


def _head(store: LabelledDataset, split: str) -> dict[str, Any]:
    """Everything of the file but images and annotations."""
    categories = [
        {
            "id": category.id,
            "name": category.name,
            "supercategory": "target" if category.id in store.targets else "other",
        }
        for category in store.taxonomy
        if category.thing
    ]
    return {**about(store, split), "categories": categories}
