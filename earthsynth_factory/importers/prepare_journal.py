"""The journal of scenes that are done: files first, flushed in one go, then the lines that vouch for them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.importers.scene import Scene
from earthsynth_factory.io.jsonl import append_line, open_to_append, placed_records
from earthsynth_factory.io.stamps import stamp_or_none

FLUSH_SECONDS = 2.0
"""A kill costs the scenes of the last so many seconds."""


class Journal:
    """Records by scene; a later record of the same scene replaces an earlier one. One process writes it."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` where a line that is not the last cannot be read; a torn last line is cut off."""
        self._path = path
        self._places: dict[str, tuple[int, str]] = {}
        self._waiting: list[tuple[str, str, bytes]] = []
        self._flushed = time.monotonic()
        for start, (scene, mark) in placed_records(path, _scene_and_stamp, "prepare into a new folder"):
            self._places[scene] = (start, mark)
        self._file = open_to_append(path)

    def __contains__(self, scene: Scene) -> bool:
        """Whether this very scene, its files unchanged, is done."""
        known = self._places.get(scene.stem)
        return known is not None and known[1] == stamp(scene)

    def add(self, scene: Scene, record: dict[str, Any]) -> None:
        """Take in a record; it reaches the disk within `FLUSH_SECONDS`, or in `flush`."""
        self._waiting.append((scene.stem, (mark := stamp(scene)), orjson.dumps({**record, "stamp": mark}) + b"\n"))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """See every file of the waiting records onto the disk, then the records."""
        if self._waiting:
            os.sync()  # some thousands of small files: one call for all is far quicker than one for each
            for stem, mark, line in self._waiting:
                self._places[stem] = (self._file.tell(), mark)
                self._file.write(line)
            append_line(self._file, b"", self._path)
            self._waiting.clear()
        self._flushed = time.monotonic()

    def records(self, stems: Iterator[str]) -> Iterator[dict[str, Any]]:
        """The records of these scenes, in their order; scenes without one are passed over."""
        self.flush()
        with self._path.open("rb") as file:
            for stem in stems:
                if stem in self._places:
                    file.seek(self._places[stem][0])
                    yield orjson.loads(file.readline())

    def close(self) -> None:
        """Flush and let go of the file."""
        self.flush()
        self._file.close()


def _scene_and_stamp(line: bytes) -> tuple[str, str]:
    record = orjson.loads(line)
    return record["scene"], record["stamp"]


def stamp(scene: Scene) -> str:
    """Changes when the scene's image, its label file or its listed labels change."""
    parts = [str(scene.group), str(scene.split), str(scene.metres_per_pixel)]
    labels = scene.labels if isinstance(scene.labels, tuple | list) else (scene.labels,)
    for part in (scene.image, *labels):
        if isinstance(part, Path):
            parts.append(f"{part.name} {stamp_or_none(part) or 'missing'}")
        else:
            parts.append(repr(part))
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()
