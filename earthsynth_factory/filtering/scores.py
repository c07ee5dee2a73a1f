"""Stored scores: a journal that a kill cannot spoil.

`scores.jsonl` has a line for every image and stage of scoring; a later line of an image takes the place of earlier ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from earthsynth_factory.errors import StoreError
from earthsynth_factory.filtering.columns import ScoreColumns
from earthsynth_factory.filtering.row import ScoreRow
from earthsynth_factory.io.atomic import disk_error
from earthsynth_factory.io.compact import Places
from earthsynth_factory.io.jsonl import append_line, open_to_append, placed_records


class ScoreJournal:
    """The rows of a folder on the disk, and of each image, by its place in the folder, what decisions need.

    Memory: some 50 bytes an image, and 8 a measure. Raises StoreError for a damaged line that is not the last; a torn last
    line is cut off.
    """

    def __init__(self, path: Path, names: Iterable[str], settings: Mapping[str, str]) -> None:
        """names: of the folder's images, in their order. settings: rule → digest of those it is asked with."""
        known = Places(names)
        self.scores = ScoreColumns(len(known), settings)
        self._path = path
        self._lines = np.full(len(known), -1, np.int64)
        for start, row in placed_records(path, ScoreRow.parse, _REMEDY):
            place = known.get(row.name)
            if place is not None:
                self._note(place, row, start)
        self._file = open_to_append(path)

    def row(self, place: int) -> ScoreRow | None:
        """All that is stored of one image; None if nothing is."""
        if self._lines[place] < 0:
            return None
        try:
            with self._path.open("rb") as lines:
                lines.seek(int(self._lines[place]))
                return ScoreRow.parse(lines.readline())
        except OSError as error:
            raise disk_error(self._path, error) from error
        except ValueError as error:
            raise StoreError(f"{self._path}: was changed while it was read ({error}); {_REMEDY}") from error

    def put(self, rows: Mapping[int, ScoreRow]) -> None:
        """Record rows whole, by place; on disk when this returns. Raises DiskError."""
        lines = [row.line() for row in rows.values()]
        end = self._file.seek(0, os.SEEK_END)
        append_line(self._file, b"".join(lines), self._path)
        for (place, row), line in zip(rows.items(), lines, strict=True):
            self._note(place, row, end)
            end += len(line)

    def _note(self, place: int, row: ScoreRow, start: int) -> None:
        self._lines[place] = start
        self.scores.note(place, row)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


_REMEDY = "choose another --out"
