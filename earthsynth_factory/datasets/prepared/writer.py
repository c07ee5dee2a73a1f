"""Writing a prepared folder: the files of an item as it comes, then the lists of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.datasets.prepared.layout import FORMAT, VERSION, PreparedLayout
from earthsynth_factory.io.atomic import new_file, write_bytes
from earthsynth_factory.io.png import encode_png

PutImage = Callable[[Path], None]
"""Writes the item's image to the path given."""


def put_item(
    root: Path, stem: str, name: str, put: PutImage, mask: npt.NDArray[np.uint8], numbers: npt.NDArray[np.uint16] | None
) -> Path:
    """The files of an item; gives the image's. name: of the image's file. mask: category ids (H, W). numbers: instance ids.

    Not flushed to disk: whoever lists the item sees to that. Raises DiskError.
    """
    layout = PreparedLayout(root)
    put(layout.image(name))
    write_bytes(layout.mask(stem), encode_png(mask), durable=False)
    if numbers is not None:
        write_bytes(layout.instances(stem), encode_png(numbers), durable=False)
    return layout.image(name)


def put_categories(
    root: Path, stem: str, suffix: str, put: PutImage, mask: npt.NDArray[np.uint8], names: Mapping[int, str]
) -> None:
    """Category augmentation: image and mask once more for each category. names: category id → name. suffix: the image's."""
    layout = PreparedLayout(root)
    for category, name in names.items():
        alone = (mask == category) * np.uint8(category)
        write_bytes(layout.category_mask(stem, name), encode_png(alone), durable=False)
        put(layout.category_image(stem, name, suffix))


def remove_item(root: Path, stem: str, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Take back the files of an item. name: of its image. lines: its lines in train.jsonl, the whole one first."""
    layout = PreparedLayout(root)
    paths = [layout.image(name), layout.mask(stem), layout.instances(stem)]
    for line in lines[1:]:
        paths += [root / line["file_name"], root / line["mask_name"]]
    for path in paths:
        path.unlink(missing_ok=True)


@contextmanager
def new_train_list(root: Path) -> Iterator[Callable[[Iterable[Mapping[str, Any]]], None]]:
    """A new folder with train.jsonl alone; what is given takes an image's lines."""
    root.mkdir()
    with PreparedLayout(root).train.open("wb") as file:
        yield lambda lines: file.writelines(orjson.dumps(line) + b"\n" for line in lines)


class ListWriter:
    """The two lists with a line an item."""

    def __init__(self, train: IO[bytes], objects: IO[bytes]) -> None:
        self._train, self._objects = train, objects

    def add(self, stem: str, size: Sequence[int], lines: Iterable[Mapping[str, Any]], objects: Any) -> None:
        """lines: of train.jsonl. objects: as instances.jsonl has them; None if nobody knows of any. size: (H, W)."""
        self._train.writelines(orjson.dumps(line) + b"\n" for line in lines)
        if objects is not None:
            self._objects.write(orjson.dumps({"stem": stem, "size": size, "instances": objects}) + b"\n")


@contextmanager
def open_lists(root: Path) -> Iterator[ListWriter]:
    """train.jsonl and instances.jsonl, which are there when all is written. Raises DiskError."""
    layout = PreparedLayout(root)
    with new_file(layout.train) as train, new_file(layout.instance_lines) as objects:
        yield ListWriter(train, objects)


class StreamedDataset:
    """A dataset of any length, item by item: the document too is written as it comes, its items first."""

    def __init__(self, document: IO[bytes], lists: ListWriter) -> None:
        self._document, self._lists, self._count = document, lists, 0
        document.write(b'{"items":{')

    def add(self, stem: str, item: Mapping[str, Any], lines: Iterable[Mapping[str, Any]], objects: Any) -> None:
        """An item. item: its entry in dataset.json; the others as in `ListWriter.add`."""
        self._lists.add(stem, item["size"], lines, objects)
        comma = b",\n" if self._count else b"\n"
        self._document.write(comma + orjson.dumps(stem) + b":" + orjson.dumps(item))
        self._count += 1

    def close(self, facts: Mapping[str, Any]) -> None:
        """facts: everything but the items, which is known now."""
        self._document.write(b"\n},\n" + orjson.dumps({**_HEAD, **facts})[1:] + b"\n")


@contextmanager
def streamed_dataset(root: Path) -> Iterator[StreamedDataset]:
    """A folder that is a dataset once the context is left without an error. Raises DiskError."""
    with new_file(PreparedLayout(root).dataset) as document, open_lists(root) as lists:
        yield StreamedDataset(document, lists)


_HEAD = {"format": FORMAT, "version": VERSION}
