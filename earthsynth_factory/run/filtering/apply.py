"""A filtered copy of a folder in the folder's own format: files of dropped images stay out, lists are rewritten.

A file is left out if a dropped image owns it and no kept one does. COCO documents, `dataset.json`, `train.jsonl`,
`instances.jsonl` and `samples.jsonl` are rewritten without the dropped images; all else is linked or copied as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from earthsynth_factory.errors import SourceError, StoreError
from earthsynth_factory.importers.readers.files import walk
from earthsynth_factory.run.filtering.sources import Entry
from earthsynth_factory.store.writer import disk_error, write_bytes

MAX_DOCUMENT = 1 << 30
"""Largest JSON list that is rewritten, in bytes."""

DERIVED = {"exports", "report"}
"""Folders of a build that are made from its masters; they are made again, not filtered."""


def mirror(
    source: Path, target: Path, entries: Sequence[Entry], kept: Collection[str], how: Literal["copy", "link"]
) -> None:
    """Write the filtered folder. Raises StoreError where `target` holds something or lies in `source`, DiskError."""
    if target.exists() and any(target.iterdir()):
        raise StoreError(f"{target}: not empty; remove it, or choose another --out")
    if target.resolve().is_relative_to(source.resolve()):
        raise StoreError(f"{target}: lies inside {source}, which is only read; choose another --out")
    staying = {file for entry in entries if entry.name in kept for file in entry.files}
    leaving = {file for entry in entries if entry.name not in kept for file in entry.files} - staying
    names = {entry.name for entry in entries if entry.name in kept}
    build = (source / "run.json").is_file()
    for path in walk(source):
        inner = path.relative_to(source)
        if path in leaving or (build and (inner.parts[0] in DERIVED or _marker(inner))):
            continue
        if not (path.suffix in (".json", ".jsonl") and _rewrite(path, target / inner, source, leaving, names)):
            _put(path, target / inner, how)


def _marker(inner: Path) -> bool:
    """A build's commit marker: its counts and digest speak of the whole shard."""
    return inner.parts[0] == "shards" and len(inner.parts) == 2 and inner.suffix == ".json"


def _put(path: Path, target: Path, how: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if how == "link":
            try:
                os.link(path, target)
                return
            except OSError:  # another file system: a symbolic link says where the file is
                target.symlink_to(path.resolve())
                return
        shutil.copyfile(path, target)
    except OSError as error:
        raise disk_error(target, error) from error


def _rewrite(path: Path, target: Path, source: Path, leaving: Collection[Path], names: Collection[str]) -> bool:
    """Write a list without the dropped images; False where the file is no list of images."""
    if path.stat().st_size > MAX_DOCUMENT:
        raise SourceError(f"{path}: larger than {MAX_DOCUMENT} bytes; use --apply list")
    lines: dict[str, Callable[[Any], bool]] = {
        "train.jsonl": lambda line: (
            source / line["file_name"] not in leaving and source / line["mask_name"] not in leaving
        ),
        "instances.jsonl": lambda line: line["stem"] in names,
        "samples.jsonl": lambda line: f"{line['slot']:07d}" in names,
    }
    try:
        if path.suffix == ".jsonl":
            if path.name not in lines:
                return False
            kept = [line for line in path.read_bytes().splitlines(True) if lines[path.name](orjson.loads(line))]
            write_bytes(target, b"".join(kept))
            return True
        document = orjson.loads(path.read_bytes())
    except (ValueError, KeyError, TypeError):
        return False
    if isinstance(document, dict) and all(isinstance(document.get(key), list) for key in ("images", "annotations")):
        write_bytes(target, orjson.dumps(coco_without(document, leaving)))
        return True
    if path == source / "dataset.json":
        document["items"] = {stem: item for stem, item in document["items"].items() if stem in names}
        write_bytes(target, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
        return True
    return False


def coco_without(document: dict[str, Any], leaving: Collection[Path]) -> dict[str, Any]:
    """The COCO document without the images whose file leaves, and without their annotations. Ids stay as they are."""
    by_name: dict[str, list[str]] = {}
    for path in leaving:
        by_name.setdefault(path.name, []).append(path.as_posix())

    def stays(image: Any) -> bool:
        name = Path(str(image.get("file_name", "")))
        return not any(path.endswith("/" + name.as_posix()) for path in by_name.get(name.name, ()))

    images = [image for image in document["images"] if isinstance(image, dict) and stays(image)]
    ids = {image.get("id") for image in images}
    annotations = [one for one in document["annotations"] if isinstance(one, dict) and one.get("image_id") in ids]
    return {**document, "images": images, "annotations": annotations}
