"""The journal of scenes that are done: files first, flushed in one go, then the lines that vouch for them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
from pydantic import AfterValidator, Field

from earthsynth_factory.datasets.build.records import ClassId, Objects, Side, parsed
from earthsynth_factory.domain.taxonomy import IGNORE
from earthsynth_factory.importers.scene import Scene
from earthsynth_factory.io.gates import plain_name
from earthsynth_factory.io.jsonl import append_line, open_to_append, placed_records
from earthsynth_factory.io.stamps import stamp_or_none

FLUSH_SECONDS = 2.0
"""A kill costs the scenes of the last seconds, this many at most."""


GONE = "gone"
"""In place of the stamp of a scene that the source has no more."""

Name = Annotated[str, AfterValidator(plain_name)]

MaskValue = Annotated[int, Field(ge=0, le=IGNORE)]
"""A category's id, or `IGNORE`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the lists need of an item."""

    split: Name | None
    image: Name
    size: tuple[Side, Side]
    categories: tuple[ClassId, ...]


@dataclass(frozen=True, slots=True)
class SingleLine:
    """A line of train.jsonl."""

    file_name: str
    mask_name: str


@dataclass(frozen=True, slots=True)
class JournalItem:
    """An image of a scene."""

    stem: Name
    about: Listed
    pixels: dict[MaskValue, int]
    instances: Objects | None
    lines: tuple[SingleLine, ...]


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """A line of the journal: the scene as it was read, and what became of it."""

    scene: str
    stamp: str
    items: tuple[JournalItem, ...]
    faults: tuple[str, ...]
    left_out: dict[str, int]
    remarks: dict[str, int] = field(default_factory=dict)


class Journal:
    """Records by scene; a later record of the same scene replaces an earlier one. One process writes it."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` if a line that is not the last cannot be read; a torn last line is cut off."""
        self._path = path
        self._places: dict[str, tuple[int, str]] = {}
        self._waiting: list[tuple[str, str, bytes]] = []
        self._flushed = time.monotonic()
        remedy = "prepare into a new folder"
        for start, record in placed_records(path, lambda line: parsed(line, SceneRecord), remedy):
            self._places[record.scene] = (start, record.stamp)
            if record.stamp == GONE:
                del self._places[record.scene]
        self._file: IO[bytes] = open_to_append(path)

    def __contains__(self, scene: Scene) -> bool:
        """Whether this very scene, its files unchanged, is done."""
        known = self._places.get(scene.stem)
        return known is not None and known[1] == scene_stamp(scene)

    def add(self, scene: Scene, record: dict[str, Any]) -> None:
        """Take in a record; it reaches the disk within `FLUSH_SECONDS`, or in `flush`."""
        self._waiting.append(
            (scene.stem, (mark := scene_stamp(scene)), orjson.dumps({**record, "stamp": mark}) + b"\n")
        )
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """See every file of the waiting records onto the disk, then the records."""
        if self._waiting:
            os.sync()  # some thousands of small files: one call for all is far quicker than one for each
            begin = os.fstat(self._file.fileno()).st_size
            waiting, self._waiting = self._waiting, []  # what the disk refuses is made again, not tried again
            append_line(self._file, b"".join(line for _, _, line in waiting), self._path)
            for stem, mark, line in waiting:
                self._places[stem] = (begin, mark)
                begin += len(line)
        self._flushed = time.monotonic()

    def records(self, stems: Iterator[str]) -> Iterator[dict[str, Any]]:
        """The records of these scenes, in their order; scenes without one are passed over."""
        self.flush()
        with self._path.open("rb") as file:
            for stem in stems:
                if stem in self._places:
                    file.seek(self._places[stem][0])
                    yield orjson.loads(file.readline())

    def knows(self, stem: str) -> bool:
        """Whether there is a record of the scene, of whatever state of its files."""
        return stem in self._places

    def stems(self) -> set[str]:
        """Every scene that has a record."""
        return set(self._places)

    def forget(self, stem: str) -> None:
        """The scene is gone: should it come back, it is read anew."""
        line = {"scene": stem, "items": [], "faults": [], "left_out": {}, "stamp": GONE}
        append_line(self._file, orjson.dumps(line) + b"\n", self._path)
        del self._places[stem]

    def close(self) -> None:
        """Flush and let go of the file."""
        try:
            self.flush()
        finally:
            with suppress(OSError):  # what could not be written was said by `flush`
                self._file.close()


def has_records(path: Path) -> bool:
    """Whether a journal lies there and holds anything."""
    return path.is_file() and path.stat().st_size > 0


def scene_stamp(scene: Scene) -> str:
    """Changes when the scene's image, its label file or its listed labels change."""
    parts = [str(scene.group), str(scene.split), str(scene.metres_per_pixel)]
    labels = scene.labels if isinstance(scene.labels, tuple | list) else (scene.labels,)
    for part in (scene.image, *scene.shared, *labels):
        if isinstance(part, Path):
            parts.append(f"{part.name} {stamp_or_none(part) or 'missing'}")
        else:
            parts.append(repr(part))
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()
