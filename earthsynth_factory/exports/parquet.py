"""Parquet for `datasets.load_dataset`: `data/<split>-00000-of-00002.parquet` and `README.md`, the card.

Columns: image, mask (category ids, 8 bit) and instances (object ids, 16 bit) as pictures; classes and objects, whose
labels count from 0 in the order of the ids and carry their names. An object's box is x, y, width, height in pixels, its
segmentation COCO's compressed run lengths over (height, width). Needs pyarrow (the extra `parquet`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, Category
from earthsynth_factory.errors import InputError
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.card import export_card
from earthsynth_factory.exports.pairs import pair_fields
from earthsynth_factory.exports.shapes import upright_box
from earthsynth_factory.exports.walk import Walk, crowd, image_classes, object_classes, origin_fields
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png

ROWS = 32
"""Images in memory at a time, and in a row group: readers that want one image decode this many at most."""
BYTES = 1 << 26
"""Fewer if their files are large: a row group ends with the image that brings its pictures to this many bytes."""
PICTURES = ("image", "mask", "instances")

_BODY = """\
```python
import datasets
data = datasets.load_dataset("parquet", data_files={"train": "data/train-*.parquet"})["train"]
image, mask, boxes = data[0]["image"], data[0]["mask"], [found["bbox"] for found in data[0]["objects"]]
```"""


class ParquetSpec(ExportSpec):
    """One row an image, pictures inside."""

    kind: Literal["hf-parquet"] = "hf-parquet"
    shard_images: int = Field(default=1000, ge=1)
    """Images in a file."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        arrow = _arrow()
        classes = [store.taxonomy[BACKGROUND], *_classes(store)]
        schema = _schema(arrow, [category.name for category in classes])
        labels = {category.id: number for number, category in enumerate(classes)}
        totals = Counter(record.split for record in store.samples())
        walk = Walk(store, progress)
        files = {split: _Files(out / "data", split, totals[split], self.shard_images, schema) for split in store.splits}
        try:
            for record in walk:
                files[record.split].add(_row(store, record, labels))
        finally:
            for of_split in files.values():
                of_split.close()
        patterns = {split: f"data/{split}-*.parquet" for split in store.splits}
        write_bytes(out / "README.md", export_card(store, classes, walk.counts, patterns, _BODY))
        return ExportSummary("hf-parquet", walk.counts)


class _Files:
    """The files of one split, written a row group at a time."""

    def __init__(self, folder: Path, split: str, total: int, images: int, schema: Any) -> None:
        self._names = _names(folder, split, -(-total // images))
        self._most, self._schema = images, schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = self._in_file = 0
        self._writer: Any = None

    def add(self, row: dict[str, Any]) -> None:
        if self._in_file == self._most:
            self.close()
        self._rows.append(row)
        self._bytes += sum(len(row[name]["bytes"]) for name in PICTURES)
        self._in_file += 1
        if len(self._rows) == ROWS or self._bytes >= BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is waiting and end the file that is open."""
        if self._rows:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        self._writer, self._in_file = None, 0

    def _flush(self) -> None:
        from pyarrow import Table
        from pyarrow.parquet import ParquetWriter

        if self._writer is None:
            path = next(self._names)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = ParquetWriter(path, self._schema, compression="snappy")
        self._writer.write_table(Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0


def _names(folder: Path, split: str, count: int) -> Iterator[Path]:
    return (folder / f"{split}-{number:05d}-of-{count:05d}.parquet" for number in range(count))


def _arrow() -> Any:
    """The library, or InputError with what to install."""
    try:
        import pyarrow
    except ImportError:
        raise InputError(
            "format hf-parquet: needs pyarrow, which is not installed; pip install 'earthsynth-factory[parquet]'"
        ) from None
    return pyarrow


def _classes(store: LabelledDataset) -> list[Category]:
    return sorted({*object_classes(store), *image_classes(store)}, key=lambda category: category.id)


def _schema(arrow: Any, names: Sequence[str]) -> Any:
    """Arrow's types, and in the metadata what `datasets` makes of them."""
    picture = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    plain = {
        "id": arrow.int64(),
        "stem": arrow.string(),
        "group": arrow.string(),
        "width": arrow.int32(),
        "height": arrow.int32(),
        "metres_per_pixel": arrow.float64(),
        "caption": arrow.string(),
        "pair_id": arrow.int64(),
        "counterfactual": arrow.bool_(),
        "crs": arrow.string(),
        "source_file": arrow.string(),
        "nodata": arrow.float64(),
        "datetime": arrow.string(),
    }
    inner = {
        "id": arrow.int32(),
        "area": arrow.int64(),
        "segmentation": arrow.string(),
        "visible": arrow.float64(),
        "truncated": arrow.bool_(),
        "difficult": arrow.bool_(),
        "crowd": arrow.bool_(),
    }
    label = {"names": list(names), "_type": "ClassLabel"}
    boxed = arrow.struct([*inner.items(), ("category", arrow.int64()), ("bbox", arrow.list_(arrow.float32()))])
    features = {
        **{name: {"_type": "Image"} for name in PICTURES},
        **_values(plain),
        "transform": [{"dtype": "float64", "_type": "Value"}],
        "bands": [{"dtype": "int32", "_type": "Value"}],
        "classes": [label],
        "objects": [{**_values(inner), "category": label, "bbox": [{"dtype": "float32", "_type": "Value"}]}],
    }
    return arrow.schema(
        [
            *((name, picture) for name in PICTURES),
            *plain.items(),
            ("transform", arrow.list_(arrow.float64())),
            ("bands", arrow.list_(arrow.int32())),
            ("classes", arrow.list_(arrow.int64())),
            ("objects", arrow.list_(boxed)),
        ],
        metadata={b"huggingface": orjson.dumps({"info": {"features": features}})},
    )


def _values(types: dict[str, Any]) -> dict[str, dict[str, str]]:
    words = {"double": "float64"}  # Arrow's own word for it
    return {name: {"dtype": words.get(str(kind), str(kind)), "_type": "Value"} for name, kind in types.items()}


def _row(store: LabelledDataset, record: SampleRecord, labels: dict[int, int]) -> dict[str, Any]:
    image = store.image_file(record)
    return {
        "image": {"bytes": image.read_bytes(), "path": record.stem + image.suffix},
        "mask": {"bytes": encode_png(store.mask(record)), "path": f"{record.stem}.png"},
        "instances": {"bytes": encode_png(store.instances(record)), "path": f"{record.stem}.png"},
        "id": record.slot + 1,
        "stem": record.stem,
        "group": record.origin.group,
        "width": record.width,
        "height": record.height,
        "metres_per_pixel": record.metres_per_pixel or None,
        "caption": record.prompt,
        "pair_id": None,
        "counterfactual": None,
        **pair_fields(record),
        **_origin(record),
        "classes": [labels[category] for category in record.classes],
        "objects": [_object(record, instance, labels) for instance in record.instances],
    }


def _origin(record: SampleRecord) -> dict[str, Any]:
    """Where it lies and what it was cut from; a no-data value that is no number is one here."""
    columns = ("crs", "transform", "source_file", "nodata", "bands", "datetime")
    found = dict.fromkeys(columns) | origin_fields(record.origin)
    return found | ({} if found["nodata"] is None else {"nodata": float(found["nodata"])})


def _object(record: SampleRecord, instance: Instance, labels: dict[int, int]) -> dict[str, Any]:
    return {
        "id": instance.id,
        "area": instance.area,
        "segmentation": instance.rle,
        "visible": instance.visible,
        "truncated": instance.truncated,
        "difficult": "difficult" in instance.flags,
        "crowd": crowd(instance),
        "category": labels[instance.category],
        "bbox": list(upright_box(record, instance)),
    }
