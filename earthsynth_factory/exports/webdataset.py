"""WebDataset: `<split>/<split>-000000.tar` with four members an image, `<split>/index.json`, `README.md`.

    0000012.png  0000012.mask.png  0000012.instances.png  0000012.json

The key is the slot number, since a key ends at the first dot. The mask holds category ids (8 bit), the instance map the
objects' ids (16 bit); the JSON has names, boxes, run lengths, caption and split. The index lists the shards with their
number of images, bytes and SHA-256. Archives are POSIX ustar without times and owners: equal datasets give equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.card import export_card
from earthsynth_factory.exports.pairs import pair_fields
from earthsynth_factory.exports.shapes import upright_box
from earthsynth_factory.exports.walk import Walk, image_classes, object_classes, origin_fields
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.png import encode_png

_BODY = """\
```python
import json, webdataset
for sample in webdataset.WebDataset("train/train-000000.tar", shardshuffle=False).decode("pil"):
    image, mask, objects = sample["png"], sample["mask.png"], sample["json"]["objects"]
```"""


class WebDatasetSpec(ExportSpec):
    """Tar shards that are read from one end to the other."""

    kind: Literal["webdataset"] = "webdataset"
    shard_images: int = Field(default=1000, ge=1)
    """Images in a shard."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        walk = Walk(store, progress)
        shards = {split: _Shards(out / split, split, self.shard_images) for split in store.splits}
        try:
            for record in walk:
                shards[record.split].add(_members(store, record))
        finally:
            for of_split in shards.values():
                of_split.close()
        for split, of_split in shards.items():
            write_json(out / split / "index.json", {"split": split, "shardlist": of_split.index})
        classes = sorted({*object_classes(store), *image_classes(store)}, key=lambda category: category.id)
        write_json(out / "classes.json", {str(category.id): category.name for category in classes})
        files = {split: f"{split}/*.tar" for split in store.splits}
        everything = [store.taxonomy[BACKGROUND], *classes]
        write_bytes(out / "README.md", export_card(store, everything, walk.counts, files, _BODY))
        return ExportSummary("webdataset", walk.counts)


class _Shards:
    """The archives of one split; `index` has a line for each that is closed."""

    def __init__(self, folder: Path, split: str, images: int) -> None:
        self._folder, self._split, self._most = folder, split, images
        self._archive: tarfile.TarFile | None = None
        self._images = 0
        self.index: list[dict[str, Any]] = []

    def add(self, members: Sequence[tuple[str, bytes]]) -> None:
        if self._images == self._most:
            self.close()
        archive = self._archive or self._opened()
        for name, data in members:
            # A fresh TarInfo has no time, no owner and mode 644.
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        self._images += 1

    def close(self) -> None:
        """End the archive that is open, if any, and put it into the index."""
        if self._archive is None:
            return
        self._archive.close()
        path = self._path
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.index.append(
            {"url": path.name, "nsamples": self._images, "filesize": path.stat().st_size, "sha256": digest}
        )
        self._archive, self._images = None, 0

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._split}-{len(self.index):06d}.tar"

    def _opened(self) -> tarfile.TarFile:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._archive = tarfile.open(self._path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  # closed by close()
        return self._archive


def _members(store: LabelledDataset, record: SampleRecord) -> list[tuple[str, bytes]]:
    key, image = f"{record.slot:07d}", store.image_file(record)
    return [
        (f"{key}{image.suffix.lower()}", image.read_bytes()),
        (f"{key}.mask.png", encode_png(store.mask(record))),
        (f"{key}.instances.png", encode_png(store.instances(record))),
        (f"{key}.json", orjson.dumps(_about(store, record))),
    ]


def _about(store: LabelledDataset, record: SampleRecord) -> dict[str, Any]:
    return {
        "stem": record.stem,
        "split": record.split,
        "group": record.origin.group,
        "width": record.width,
        "height": record.height,
        "metres_per_pixel": record.metres_per_pixel or None,
        "caption": record.prompt,
        **origin_fields(record.origin),
        **pair_fields(record),
        "classes": [store.taxonomy[category].name for category in record.classes],
        "objects": [
            {
                "id": instance.id,
                "category": store.taxonomy[instance.category].name,
                "category_id": instance.category,
                "bbox": list(upright_box(record, instance)),
                **({"given": instance.given.fields()} if instance.given else {}),
                "area": instance.area,
                "segmentation": {"size": [record.height, record.width], "counts": instance.rle},
                "visible": instance.visible,
                "truncated": instance.truncated,
                "flags": list(instance.flags),
            }
            for instance in record.instances
        ],
    }
