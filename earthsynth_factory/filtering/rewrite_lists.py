"""Lists of images without the dropped ones: COCO documents, our own journals and packed shards, split lists; paths in YAML.

What is no list of images is left to be linked or copied as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.packed import read_index, sealed
from earthsynth_factory.datasets.prepared.subset import fewer_items, line_test
from earthsynth_factory.errors import SourceError
from earthsynth_factory.filtering.kept_files import KeptFiles
from earthsynth_factory.importers.texts import MAX_TEXT_BYTES
from earthsynth_factory.io.jsonl import unmarked

MAX_DOCUMENT = 1 << 30
"""Largest JSON list that is rewritten, in bytes."""

STORED = ("build", "prepared")
"""Kinds of our own, which have no lists in text."""

CLASS_NAMES = {"classes.txt", "obj.names"}
"""Text files that name classes, which might be called like images."""


def rewritten(path: Path, files: KeptFiles) -> Iterable[bytes] | None:
    """The list without the dropped images, piece by piece; None if the file is none. Raises SourceError if it is too
    large.
    """
    writer = _WRITERS.get(path.suffix.lower())
    return writer(path, files) if writer else None


def _lines(path: Path, files: KeptFiles) -> Iterable[bytes] | None:
    """One of our journals, a line an item."""
    test = _of_a_build(files) if path.name == "samples.jsonl" else line_test(path, files.names, files.leaving)
    if test is None:
        return None
    with path.open("rb") as lines:
        try:
            stays = [test(orjson.loads(unmarked(line))) for line in lines]
        except (ValueError, KeyError, TypeError):
            return None
    return _chosen(path, stays)


def _of_a_build(files: KeptFiles) -> Callable[[Any], bool]:
    return lambda line: f"{line['slot']:07d}" in files.names


def _chosen(path: Path, stays: list[bool]) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from compress(lines, stays)


def _document(path: Path, files: KeptFiles) -> Iterable[bytes] | None:
    """A COCO document, or the list of a prepared dataset."""
    try:
        data = _read(path)
        if (fewer := fewer_items(path, files.source, data, files.names)) is not None:
            return [fewer]
        document = orjson.loads(data)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if isinstance(document, dict) and all(isinstance(document.get(key), list) for key in ("images", "annotations")):
        return [orjson.dumps(_coco(document, path.parent, files))]
    return None


def _coco(document: dict[str, Any], near: Path, files: KeptFiles) -> dict[str, Any]:
    """Without the images whose file leaves, and without their annotations. Ids stay as they are."""
    images = [
        image
        for image in document["images"]
        if isinstance(image, dict) and files.image(str(image.get("file_name", "")), near) not in files.leaving
    ]
    ids = {image.get("id") for image in images}
    annotations = [one for one in document["annotations"] if isinstance(one, dict) and one.get("image_id") in ids]
    return {**document, "images": images, "annotations": annotations}


def _tar(path: Path, files: KeptFiles) -> Iterable[bytes] | None:
    """A packed shard of a build."""
    if files.folder.kind != "build" or path.name != ShardLayout(path.parent).packed.name:
        return None
    samples = list(read_index(path))
    stays = [sample for sample in samples if sample.stem in files.names]
    return None if len(stays) == len(samples) else sealed(path, stays)


def _text(path: Path, files: KeptFiles) -> Iterable[bytes] | None:
    """A list of a split, a line an image (YOLO's train.txt, VOC's ImageSets)."""
    if files.folder.kind in STORED or path in files.staying or path.name in CLASS_NAMES:
        return None
    if path.stat().st_size > MAX_TEXT_BYTES:
        return None
    lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines(True)
    named = [files.named(line.strip(), path.parent) for line in lines]
    if not any(named):
        return None
    staying = [not images or any(image not in files.leaving for image in images) for images in named]
    return [files.moved("".join(compress(lines, staying))).encode("utf-8", "surrogateescape")]


def _yaml(path: Path, files: KeptFiles) -> Iterable[bytes] | None:
    """Settings that say where the images lie, such as YOLO's data.yaml."""
    if path.stat().st_size > MAX_TEXT_BYTES:
        return None
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    moved = files.moved(text)
    return None if moved == text else [moved.encode("utf-8", "surrogateescape")]


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_DOCUMENT:
        raise SourceError(f"{path}: larger than {MAX_DOCUMENT} bytes; use --apply list")
    return path.read_bytes()


_WRITERS: dict[str, Callable[[Path, KeptFiles], Iterable[bytes] | None]] = {
    ".jsonl": _lines,
    ".json": _document,
    ".tar": _tar,
    ".txt": _text,
    ".lst": _text,
    ".yaml": _yaml,
    ".yml": _yaml,
}
