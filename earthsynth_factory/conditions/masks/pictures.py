"""The pictures that belong to a folder's masks: found once, decoded when drawn, kept within bounds."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from earthsynth_factory.conditions.masks.folder import Item, MaskFolder
from earthsynth_factory.domain.condition import Image
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.pictures import SUFFIXES, Picture

CACHE_BYTES = 256 << 20
"""Decoded pictures kept in memory, per folder."""


class FolderPictures:
    """Pictures of a `MaskFolder`, by item. Reading is safe from several threads."""

    def __init__(self, folder: MaskFolder, cache: Path) -> None:
        """Raises SourceError if an item has no picture."""
        self._root = folder.path
        self._paths = {item.entry.stem: _path_of(folder, item) for item in folder.items}
        self.content = _digest(self._paths, cache / f"pictures-{folder.content}.json")
        """Changes with what the files hold, wherever they lie."""
        self._cache: OrderedDict[str, Image] = OrderedDict()
        self._lock = Lock()

    def name(self, item: Item) -> str:
        """Which picture it is, for a record: the folder's name and the file's path in it."""
        return f"{self._root.name}/{self._paths[item.entry.stem].relative_to(self._root).as_posix()}"

    def read(self, item: Item) -> Image:
        """(H, W, 3) uint8 sRGB, as large as the mask. Raises SourceError if it is damaged or of another size."""
        stem = item.entry.stem
        with self._lock:
            if stem in self._cache:
                self._cache.move_to_end(stem)
                return self._cache[stem]
        path = self._paths[stem]
        with Picture(path) as opened:
            if opened.shape != item.shape:
                raise SourceError(
                    f"{path}: {opened.shape[1]}×{opened.shape[0]} pixels, its mask has {item.shape[1]}×{item.shape[0]}; "
                    "prepare the dataset again"
                )
            pixels = opened.rgb(0, opened.shape[0])
        with self._lock:
            self._cache[stem] = pixels
            held = sum(kept.nbytes for kept in self._cache.values())
            while held > CACHE_BYTES and len(self._cache) > 1:
                held -= self._cache.popitem(last=False)[1].nbytes
        return pixels


def _path_of(folder: MaskFolder, item: Item) -> Path:
    """The picture of a mask: named in dataset.json, or of the mask's own stem (EarthSynth: with `image` for `mask`)."""
    stem, images = item.entry.stem, item.entry.mask.parent.parent / "images"
    record = folder.about.items.get(stem) if folder.about else None
    stems = dict.fromkeys([stem, stem.replace("mask", "image")])
    names = [record.image] if record and record.image else [f"{one}{suffix}" for one in stems for suffix in SUFFIXES]
    inside = folder.path.resolve()
    for path in (images / name for name in names):
        if path.is_file() and path.resolve().is_relative_to(inside):
            return path
    raise SourceError(
        f"{images}: no picture for the mask {stem!r}; `pictures: true` needs a prepared folder, or images/ beside masks/"
    )


def _digest(paths: dict[str, Path], cache: Path) -> str:
    """A digest of all files' contents. A file whose size and time have not changed is not read again."""
    known, lines = _load(cache), dict[str, Any]()
    for stem, path in paths.items():
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        line = known.get(stem)
        fresh = isinstance(line, list) and line[:2] == stamp and len(line) == 3
        lines[stem] = line if fresh else [*stamp, _content(path)]
    if lines != known:
        write_bytes(cache, orjson.dumps(lines))
    whole = hashlib.blake2b(digest_size=16)
    for stem in sorted(lines):
        whole.update(f"{stem}:{lines[stem][2]}\0".encode())
    return whole.hexdigest()


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _load(cache: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(cache.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
