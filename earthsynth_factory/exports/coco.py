"""COCO instances: one JSON a split, streamed, with compressed RLE as the truth.

Ids: category ids are the taxonomy's, image ids the slot numbers plus one, annotation ids count from 1 over all splits in
slot order. Evaluators take an annotation id of 0 for "no match", so none is ever 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.geometry.polygons import agreement, polygons_of
from earthsynth_factory.geometry.rle import decode
from earthsynth_factory.store.dataset import LabelledDataset
from earthsynth_factory.store.records import SampleRecord


class CocoSpec(ExportSpec):
    """`annotations/instances_<split>.json` and `<split>/<image>.png`."""

    kind: Literal["coco"] = "coco"
    polygons: bool = False
    """Write polygons in place of run lengths; a hole becomes a cut. What they lose is measured and reported."""
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        with ExitStack() as stack:
            files = {split: stack.enter_context(_SplitFile(out, split, store)) for split in store.splits}
            writer = _Writer(self, store, out, files)
            for record in store.samples():
                writer.add(record)
                progress(1)
        return writer.summary()


class _Writer:
    """Hands every sample to its split's file; counts annotations over all of them."""

    def __init__(self, spec: CocoSpec, store: LabelledDataset, out: Path, files: Mapping[str, _SplitFile]) -> None:
        self._spec = spec
        self._store = store
        self._out = out
        self._files = files
        self._annotations = 0
        self._objects = 0
        self._iou = 0.0
        self._worst = 1.0

    def add(self, record: SampleRecord) -> None:
        """Write one sample: its image entry, its annotations, its image."""
        image = self._store.image_path(record)
        name = record.stem + image.suffix
        put_image(image, self._out / record.split / name, self._spec.images)
        self._files[record.split].add(_image(record, name), self._annotated(record))

    def _annotated(self, record: SampleRecord) -> Iterator[dict[str, Any]]:
        for instance in record.instances:
            self._annotations += 1
            yield {
                "id": self._annotations,
                "image_id": record.slot + 1,
                "category_id": instance.category,
                "segmentation": self._segmentation(record, instance),
                "area": instance.area,
                "bbox": list(instance.box),
                "iscrowd": int("crowd" in instance.flags),
                "visible": instance.visible,
                "truncated": instance.truncated,
            }

    def _segmentation(self, record: SampleRecord, instance: Instance) -> Any:
        if not self._spec.polygons:
            return {"size": [record.height, record.width], "counts": instance.rle}
        mask = decode(instance.rle, record.height, record.width)
        polygons = polygons_of(mask)
        iou = agreement(polygons, mask)
        self._objects += 1
        self._iou += iou
        self._worst = min(self._worst, iou)
        return polygons

    def summary(self) -> ExportSummary:
        counts = {split: file.images for split, file in self._files.items()}
        if not self._objects:
            return ExportSummary("coco", counts, figures={"annotations": self._annotations})
        mean = self._iou / self._objects
        note = f"polygons against the masks: mean IoU {mean:.4f}, worst {self._worst:.4f} over {self._objects} objects"
        return ExportSummary("coco", counts, (note,), {"annotations": self._annotations, "polygon_iou": mean})


class _SplitFile:
    """`instances_<split>.json`, written as it comes: images straight away, annotations beside them, joined at the end."""

    def __init__(self, out: Path, split: str, store: LabelledDataset) -> None:
        folder = out / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        self.images = 0
        self._annotations = 0
        self._path = folder / f"instances_{split}.json"
        self._part = folder / f".annotations_{split}.part"
        self._head = _head(store, split)

    def __enter__(self) -> _SplitFile:
        self._json: IO[bytes] = self._path.open("wb")
        self._beside: IO[bytes] = self._part.open("w+b")
        self._json.write(self._head[:-1] + b',"images":[')
        return self

    def add(self, image: Mapping[str, Any], annotations: Iterable[Mapping[str, Any]]) -> None:
        self._json.write((b",\n" if self.images else b"\n") + orjson.dumps(image))
        self.images += 1
        for annotation in annotations:
            self._beside.write((b",\n" if self._annotations else b"\n") + orjson.dumps(annotation))
            self._annotations += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._join()
        for file in (self._json, self._beside):
            # After a failure the files are thrown away; what closing says of them must not hide the cause.
            with suppress(OSError) if kind else nullcontext():
                file.close()
        self._part.unlink()

    def _join(self) -> None:
        """Put the annotations behind the images and end the file."""
        self._json.write(b'\n],"annotations":[')
        self._beside.seek(0)
        while block := self._beside.read(1 << 20):
            self._json.write(block)
        self._json.write(b"\n]}\n")


def _head(store: LabelledDataset, split: str) -> bytes:
    """Everything of the file but images and annotations, as a JSON object."""
    targets = store.targets
    things = [category for category in store.taxonomy if category.thing]
    return orjson.dumps(
        {
            "info": {"description": store.name, "version": store.version, "split": split},
            "licenses": [],
            "categories": [
                {
                    "id": category.id,
                    "name": category.name,
                    "supercategory": "target" if category.id in targets else "other",
                }
                for category in things
            ],
        }
    )


def _image(record: SampleRecord, name: str) -> dict[str, Any]:
    return {
        "id": record.slot + 1,
        "file_name": name,
        "width": record.width,
        "height": record.height,
        "metres_per_pixel": record.metres_per_pixel,
        "caption": record.prompt,
    }
