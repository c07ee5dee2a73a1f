"""A JSON file in COCO's form, written as it comes: memory stays flat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.exports.pairs import pair_fields
from earthsynth_factory.exports.walk import origin_fields


class CocoFile:
    """Images go into the file straight away, annotations into one beside it; they are joined at the end.

    `images` is the number of images so far.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        """head: everything but images and annotations."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.images = 0
        self._annotations = 0
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._head = orjson.dumps(head)

    def __enter__(self) -> CocoFile:
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


def about(store: LabelledDataset, split: str) -> dict[str, Any]:
    """What every file says of itself."""
    return {"info": {"description": store.name, "version": store.version, "split": split}, "licenses": []}


def image_entry(record: SampleRecord, name: str) -> dict[str, Any]:
    """The image's entry; its id is the slot number plus one."""
    return {
        "id": record.slot + 1,
        "file_name": name,
        "width": record.width,
        "height": record.height,
        "metres_per_pixel": record.metres_per_pixel,
        "caption": record.prompt,
        **origin_fields(record.origin),
        **pair_fields(record),
    }
