"""The layout every importer writes, and the one writer of it.

    TARGET/
      images/<stem>.jpg|png     the source's own bytes, native resolution
      masks/<stem>.png          uint8 (H, W), EarthSynth category ids, 0 = anything else
      instances/<stem>.png      uint16 (H, W), instance ids from 1, 0 = none; only where the source knows instances
      dataset.json              names, terms, and per item its group (whole scene), split and metres per pixel

`dataset.json` is written last: a folder without it is an import that did not finish.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import BACKGROUND, earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.store.writer import encode_png, write_bytes

FORMAT = "earthsynth-factory/dataset"
VERSION = 1
MAX_PIXELS = 64_000_000
"""Largest image that is decoded (pixels): far above any source read here, far below what would exhaust memory."""

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What is true of a whole dataset. `dense` says that every pixel was labelled, so background is no "unknown"."""

    name: str
    source: str
    licence: str
    credit: str
    dense: bool


@dataclass(slots=True)
class ImportSummary:
    """What an import did. `left_out` counts by reason what the source holds and the result does not."""

    items: int = 0
    pixels: Counter[int] = field(default_factory=Counter)
    instances: Counter[int] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class Importer(Protocol):
    """A reader of one public dataset."""

    name: str

    def run(self, source: Path, target: Path) -> ImportSummary:
        """Reads `source`, writes the layout into `target`. Raises `SourceError` where the source is not what it should be."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled image on its way into the layout.

    `image` is the file that is taken over byte for byte; `mask` uint8 (H, W) category ids; `instances` uint16 (H, W)
    or None; `metres_per_pixel` > 0 or None where nothing is known.
    """

    stem: str
    image: Path
    mask: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint16] | None
    group: str
    split: Split
    metres_per_pixel: float | None


class DatasetWriter:
    """Writes items one by one, then `dataset.json` in `finish`. A file is whole or absent (temp + fsync + rename)."""

    def __init__(self, target: Path, info: DatasetInfo) -> None:
        if (target / "dataset.json").exists():
            raise SourceError(f"{target}: already holds a dataset; import into a new folder or remove this one")
        self._target, self._info = target, info
        self._items: dict[str, dict[str, object]] = {}
        self.summary = ImportSummary()

    def add(self, item: Item) -> None:
        """Writes image, mask and instances. Raises `SourceError` on a stem met twice or an id outside the taxonomy."""
        if item.stem in self._items:
            raise SourceError(f"{item.image}: the stem {item.stem!r} is taken by another image; rename one of the two")
        self._count(item)
        write_bytes(self._target / "images" / f"{item.stem}{item.image.suffix.lower()}", item.image.read_bytes())
        write_bytes(self._target / "masks" / f"{item.stem}.png", encode_png(item.mask))
        if item.instances is not None:
            write_bytes(self._target / "instances" / f"{item.stem}.png", encode_png(item.instances))
        self._items[item.stem] = {
            "group": item.group,
            "split": item.split,
            "metres_per_pixel": item.metres_per_pixel,
        }

    def finish(self) -> ImportSummary:
        """Writes `dataset.json`. Raises `SourceError` where not a single item was found."""
        if not self._items:
            raise SourceError(f"{self._info.name}: no labelled image was found; check the folder that was given")
        taxonomy = earthsynth()
        present = sorted(set(self.summary.pixels) - {BACKGROUND})
        document = {
            "format": FORMAT,
            "version": VERSION,
            "name": self._info.name,
            "source": self._info.source,
            "licence": self._info.licence,
            "credit": self._info.credit,
            "classes": {str(index): taxonomy[index].name for index in present},
            "dense": self._info.dense,
            "items": dict(sorted(self._items.items())),
        }
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        write_bytes(self._target / "dataset.json", text.encode())
        return self.summary

    def _count(self, item: Item) -> None:
        taxonomy = earthsynth()
        for index, count in enumerate(np.bincount(item.mask.ravel(), minlength=256).tolist()):
            if count:
                self.summary.pixels[taxonomy[index].id] += count
        if item.instances is not None:
            for category in instance_categories(item.mask, item.instances).values():
                self.summary.instances[category] += 1
        self.summary.items += 1


def instance_categories(mask: npt.NDArray[np.uint8], instances: npt.NDArray[np.uint16]) -> dict[int, int]:
    """Instance id → category id, by the first pixel of each instance. Both arrays are (H, W)."""
    ids, first = np.unique(instances, return_index=True)
    return {int(i): int(mask.ravel()[at]) for i, at in zip(ids, first, strict=True) if i}


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """RGB uint8 (H, W, 3). Raises `SourceError` where the file is no image or is larger than `MAX_PIXELS`."""
    pixels = _decode(path, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(pixels[..., ::-1])


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 (H, W), values as stored. Raises `SourceError` where the file is not a one-channel 8-bit image."""
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise SourceError(
            f"{path}: a mask of class ids has one 8-bit channel, this has shape {pixels.shape}, {pixels.dtype}"
        )
    return pixels.astype(np.uint8, copy=False)


def files(folder: Path, *suffixes: str) -> Iterator[Path]:
    """The regular files of `folder` with one of `suffixes`, by name. Raises `SourceError` where it is not a folder."""
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; give the dataset's top folder")
    yield from (p for p in sorted(folder.iterdir()) if p.suffix.lower() in suffixes and p.is_file())


def _decode(path: Path, flags: int) -> npt.NDArray[np.generic]:
    try:
        raw = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; the dataset is incomplete") from error
    pixels = cv2.imdecode(raw, flags) if raw.size else None
    if pixels is None:
        raise SourceError(f"{path}: not a readable image; fetch the file again")
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise SourceError(
            f"{path}: {pixels.shape[1]}×{pixels.shape[0]} pixels exceed {MAX_PIXELS}; tile the image first"
        )
    return np.asarray(pixels)
