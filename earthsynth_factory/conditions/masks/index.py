"""What is in each mask of a folder, counted once and kept: pixels and instances by the ids of the files.

The index is a cache: a file whose size and time have not changed keeps its line, any other is read again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from earthsynth_factory.datasets.prepared.masks import MaskEntry, MaskListing
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.id_masks import Ids, read_ids

_VERSION = 1
_SAVE_SECONDS = 60.0
"""A killed run loses no more of the counting than this."""


@dataclass(frozen=True, slots=True)
class MaskCounts:
    """One mask counted. shape: (H, W). pixels, instances: id in the file → number; `instances` None without a map."""

    shape: tuple[int, int]
    digest: str
    pixels: dict[int, int]
    instances: dict[int, int] | None


def index(listing: MaskListing, cache: Path) -> dict[str, MaskCounts]:
    """Stem → counts for every mask of the listing. Raises SourceError on the first mask that cannot be used."""
    path = cache / f"masks-{_name(listing.root.resolve())}.json"
    lines = _load(path)
    counts: dict[str, MaskCounts] = {}
    fresh: dict[str, Any] = {}
    saved = time.monotonic()
    for entry in listing.entries:
        line = lines.get(entry.stem)
        known = _parse(line, entry)
        counts[entry.stem] = known or count_mask(entry)
        fresh[entry.stem] = line if known else _line(entry, counts[entry.stem])
        if known is None and time.monotonic() - saved >= _SAVE_SECONDS:
            _save(path, lines | fresh)
            saved = time.monotonic()
    if fresh != lines:
        _save(path, fresh)
    return counts


def count_mask(entry: MaskEntry) -> MaskCounts:
    """Read and count one mask and its instance map."""
    mask = read_ids(entry.mask)
    digest = hashlib.blake2b(f"{mask.shape}".encode() + mask.tobytes(), digest_size=16)
    numbers_of = np.bincount(mask.ravel())
    pixels = {int(i): int(numbers_of[i]) for i in np.flatnonzero(numbers_of)}
    instances = None
    if entry.instances is not None:
        numbers = read_instance_map(entry, mask.shape)
        digest.update(numbers.tobytes())
        instances = _count_instances(mask, numbers, entry.instances)
    return MaskCounts((mask.shape[0], mask.shape[1]), digest.hexdigest(), pixels, instances)


def read_instance_map(entry: MaskEntry, shape: tuple[int, ...]) -> Ids:
    """The entry's instance map, (H, W) uint16, of the mask's own shape."""
    assert entry.instances is not None
    numbers = read_ids(entry.instances)
    if numbers.shape != shape:
        raise SourceError(
            f"{entry.instances}: {numbers.shape[1]}×{numbers.shape[0]} pixels, its mask has {shape[1]}×{shape[0]}; "
            "write both in the size of the image"
        )
    return numbers


def masks_fingerprint(counts: dict[str, MaskCounts], extra: Iterable[str]) -> str:
    """A digest of the masks' contents and of `extra` texts; where the folder lies does not matter."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (*(f"{stem}:{counts[stem].digest}" for stem in sorted(counts)), *extra):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _count_instances(mask: Ids, numbers: Ids, path: Path) -> dict[int, int]:
    inside = numbers > 0
    pairs = np.unique(numbers[inside].astype(np.uint32) << 16 | mask[inside])
    found: dict[int, int] = {}
    for number, class_id in _split(pairs.tolist()):
        if number in found or class_id == 0:
            fault = "lies on id 0" if class_id == 0 else "covers more than one class"
            raise SourceError(f"{path}: instance {number} {fault}; give all its pixels one class in the mask")
        found[number] = class_id
    classes, numbers_of = np.unique(list(found.values()), return_counts=True)
    return {int(c): int(n) for c, n in zip(classes, numbers_of, strict=True)}


def _split(pairs: Iterable[int]) -> Iterator[tuple[int, int]]:
    return ((pair >> 16, pair & 0xFFFF) for pair in pairs)


def _name(root: Path) -> str:
    return hashlib.blake2b(str(root).encode(), digest_size=8).hexdigest()


def _line(entry: MaskEntry, counts: MaskCounts) -> dict[str, Any]:
    return {
        "stamp": list(entry.stamp),
        "shape": list(counts.shape),
        "digest": counts.digest,
        "pixels": {str(class_id): number for class_id, number in counts.pixels.items()},
        "instances": None
        if counts.instances is None
        else {str(class_id): number for class_id, number in counts.instances.items()},
    }


def _parse(line: Any, entry: MaskEntry) -> MaskCounts | None:
    """The counts a cache line holds, or None if it is of another file or not to be understood."""
    try:
        if tuple(line["stamp"]) != entry.stamp:
            return None
        height, width = line["shape"]
        pixels = {int(class_id): int(number) for class_id, number in line["pixels"].items()}
        listed = line["instances"]
        instances = None if listed is None else {int(class_id): int(number) for class_id, number in listed.items()}
        return MaskCounts((int(height), int(width)), str(line["digest"]), pixels, instances)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _load(path: Path) -> dict[str, Any]:
    """The cached lines; a missing, damaged or older cache is simply built anew."""
    try:
        document = orjson.loads(path.read_bytes())
        return dict(document["masks"]) if document["version"] == _VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _save(path: Path, lines: dict[str, Any]) -> None:
    write_bytes(path, orjson.dumps({"version": _VERSION, "masks": lines}, option=orjson.OPT_SORT_KEYS))
