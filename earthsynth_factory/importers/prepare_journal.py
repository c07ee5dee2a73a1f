"""The journal of scenes that are done: files first, flushed in one go, then the lines that vouch for them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.importers.scene import Scene
from earthsynth_factory.io.atomic import append_line, disk_error

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
        end = self._index()
        try:
            if path.is_file() and path.stat().st_size > end:
                os.truncate(path, end)
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise disk_error(path, error) from error

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

    def _index(self) -> int:
        """Where each scene's newest line begins; gives the length up to the last whole line."""
        if not self._path.is_file():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return 0
        end = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = orjson.loads(line)
                    self._places[record["scene"]] = (end, record["stamp"])
                except (ValueError, KeyError, TypeError) as error:
                    raise StoreError(f"{self._path}:{number}: damaged line; prepare into a new folder") from error
                end += len(line)
        return end


def stamp(scene: Scene) -> str:
    """Changes when the scene's image, its label file or its listed labels change."""
    parts = [str(scene.group), str(scene.split), str(scene.metres_per_pixel)]
    labels = scene.labels if isinstance(scene.labels, tuple | list) else (scene.labels,)
    for part in (scene.image, *scene.shared, *labels):
        if isinstance(part, Path):
            stat = part.stat() if part.is_file() else None
            parts.append(f"{part.name} {stat.st_size} {stat.st_mtime_ns}" if stat else f"{part.name} missing")
        else:
            parts.append(repr(part))
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()
