"""Pascal VOC: `JPEGImages/`, `Annotations/<stem>.xml`, `ImageSets/Main/<split>.txt`.

Corners count pixels from 1 and are inclusive, as in VOC's devkit: a box (x, y, w, h) of ours is x + 1 … x + w. A box that a
source gave with decimals keeps four of them. Images keep their own format, whatever the folder is called. An image without
objects has an XML file without `object`.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.losses import Losses
from earthsynth_factory.exports.shapes import upright_box
from earthsynth_factory.exports.walk import Walk, crowd, difficult
from earthsynth_factory.io.atomic import write_bytes


class VocSpec(ExportSpec):
    """Upright boxes in XML."""

    kind: Literal["voc"] = "voc"
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        losses, walk = Losses(), Walk(store, progress)
        sets = out / "ImageSets" / "Main"
        sets.mkdir(parents=True)
        with ExitStack() as stack:
            lists = {split: stack.enter_context((sets / f"{split}.txt").open("wb")) for split in store.splits}
            for record in walk:
                image = store.image_file(record)
                name = record.stem + image.suffix
                put_image(image, out / "JPEGImages" / name, self.images)
                write_bytes(out / "Annotations" / f"{record.stem}.xml", _xml(store, record, name), durable=False)
                lists[record.split].write(f"{record.stem}\n".encode())
                losses.count("crowd regions written as difficult", sum(map(crowd, record.instances)))
        return ExportSummary("voc", walk.counts, losses.notes("boxes"))


def _xml(store: LabelledDataset, record: SampleRecord, name: str) -> bytes:
    root = Element("annotation")
    _put(root, folder="JPEGImages", filename=name)
    _put(SubElement(root, "source"), database=store.name)
    _put(SubElement(root, "size"), width=record.width, height=record.height, depth=3)
    _put(root, segmented=0)
    for instance in record.instances:
        _put_object(SubElement(root, "object"), store.taxonomy[instance.category].name, record, instance)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8")) + b"\n"


def _put_object(entry: Element, name: str, record: SampleRecord, instance: Instance) -> None:
    x, y, width, height = upright_box(record, instance)
    _put(entry, name=name, pose="Unspecified", truncated=int(instance.truncated), difficult=int(difficult(instance)))
    edges = {"xmin": x + 1, "ymin": y + 1, "xmax": x + width, "ymax": y + height}
    _put(SubElement(entry, "bndbox"), **{name: f"{edge:.4f}".rstrip("0").rstrip(".") for name, edge in edges.items()})


def _put(parent: Element, **texts: object) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)
