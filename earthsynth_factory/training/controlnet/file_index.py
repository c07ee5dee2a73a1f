"""What every file of a dataset holds, read once: remembered by size and time of change, so that later runs start at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson

from earthsynth_factory.domain.masks import present_ids
from earthsynth_factory.domain.partners import colour_stats_of
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.rgb import decode_rgb, read_bytes
from earthsynth_factory.io.stamps import stamp

VERSION = 2


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """digest: of the file's bytes. colour_stats: mean and deviation of red, green and blue, 0–1."""

    stamp: tuple[int, int]
    height: int
    width: int
    digest: str
    colour_stats: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """ids: those present, as the file has them, ascending."""

    stamp: tuple[int, int]
    height: int
    width: int
    ids: tuple[int, ...]


Facts = TypeVar("Facts", ImageFacts, MaskFacts)


@dataclass(frozen=True, slots=True)
class FileIndex:
    """Facts by path; a file that could not be read is in neither, and has its fault."""

    images: dict[Path, ImageFacts]
    masks: dict[Path, MaskFacts]
    faults: list[str]


def index_files(root: Path, images: Iterable[Path], masks: Iterable[Path], index: Path, threads: int) -> FileIndex:
    """Facts of all files below `root`; `index` is a JSON file that remembers them (a damaged one is made anew)."""
    known = _read_index(index)
    faults: list[str] = []
    with ThreadPoolExecutor(threads) as pool:
        seen = _gather(root, images, known.get("images", {}), _look_at_image, ImageFacts, pool, faults)
        read = _gather(root, masks, known.get("masks", {}), _look_at_mask, MaskFacts, pool, faults)
    document = {
        "version": VERSION,
        "images": {str(path.relative_to(root)): asdict(facts) for path, facts in seen.items()},
        "masks": {str(path.relative_to(root)): asdict(facts) for path, facts in read.items()},
    }
    text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    if not index.is_file() or index.read_bytes() != text:
        write_bytes(index, text)
    return FileIndex(seen, read, faults)


def _gather(
    root: Path,
    paths: Iterable[Path],
    known: dict[str, Any],
    look: Callable[[Path], Facts],
    kind: type[Facts],
    pool: ThreadPoolExecutor,
    faults: list[str],
) -> dict[Path, Facts]:
    """Facts of each distinct path, from `known` if the file is as it was."""
    distinct = sorted(set(paths))

    def facts_of(path: Path) -> Facts | str:
        try:
            seen = stamp(path)
            stored = known.get(str(path.relative_to(root)))
            if stored and tuple(stored["stamp"]) == seen:
                fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
                return kind(**fields)
            return replace(look(path), stamp=(seen.size, seen.modified))
        except (SourceError, OSError) as error:
            return str(error)

    found = dict(zip(distinct, pool.map(facts_of, distinct), strict=True))
    faults += [facts for facts in found.values() if isinstance(facts, str)]
    return {path: facts for path, facts in found.items() if not isinstance(facts, str)}


def _look_at_image(path: Path) -> ImageFacts:
    data = read_bytes(path)
    pixels = decode_rgb(data, path)
    digest = hashlib.blake2b(data, digest_size=12).hexdigest()
    return ImageFacts((0, 0), pixels.shape[0], pixels.shape[1], digest, colour_stats_of(pixels))


def _look_at_mask(path: Path) -> MaskFacts:
    ids = read_ids(path)
    return MaskFacts((0, 0), ids.shape[0], ids.shape[1], tuple(present_ids(ids)))


def _read_index(path: Path) -> dict[str, Any]:
    try:
        known = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return known if isinstance(known, dict) and known.get("version") == VERSION else {}
