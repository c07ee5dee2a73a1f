"""Large JSON read piece by piece: the objects of its top-level lists, each parsed alone, so that memory stays that of one.

Where an object lies in its file is told with it, so that it can be read again when its turn comes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.texts import parse_json

CHUNK = 1 << 22
MAX_PIECE = 1 << 28
"""Largest single object, in bytes."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
"""A whole string, or a bracket, or the quotation mark of a string that goes on beyond the data."""

_QUOTE, _LIST, _OBJECT = b'"[{'
_OPEN = (_LIST, _OBJECT)


class JsonPiece(NamedTuple):
    """key: the list it stands in, "" in a file that is itself a list. start, length: bytes of the file."""

    key: str
    start: int
    length: int
    value: dict[str, Any]


def pieces(path: Path, *keys: str, lists: set[str] | None = None) -> Iterator[JsonPiece]:
    """The objects of these top-level lists (none named: of all), in the file's order; a text among them is an empty object.

    lists: takes in which of the keys are lists at all, be they empty.

    Raises `SourceError` naming the file: missing, cut short, malformed, or with an object beyond `MAX_PIECE`.
    """
    met: set[bytes] = set()
    for key, start, data in _spans(path, {key.encode() for key in keys}, met):
        value = parse_json(data, path)
        yield JsonPiece(key, start, len(data), value if isinstance(value, dict) else {})
    if lists is not None:
        lists.update(key.decode("utf-8", "replace") for key in met)


def read_piece(path: Path, start: int, length: int) -> dict[str, Any]:
    """One object again, by its place."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            value = parse_json(file.read(length), path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if not isinstance(value, dict):
        raise SourceError(f"{path}: was changed while it was read; run again")
    return value


def _spans(path: Path, keys: set[bytes], met: set[bytes]) -> Iterator[tuple[str, int, bytes]]:
    """(key, place, bytes) of every object directly in a wanted list; met: takes in the lists' keys."""
    scanner = _Scanner(keys, met)
    try:
        with path.open("rb") as file:
            if file.read(3) != codecs.BOM_UTF8:
                file.seek(0)
            base, data = file.tell(), b""
            while chunk := file.read(CHUNK):
                data += chunk
                for key, begin, end in scanner.scan(data):
                    yield key, base + begin, data[begin:end]
                done = scanner.let_go()
                base, data = base + done, data[done:]
                if len(data) > MAX_PIECE:
                    raise SourceError(f"{path}: an object of more than {MAX_PIECE} bytes; split it")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if scanner.depth:
        raise SourceError(f"{path}: malformed JSON (it ends within a list or an object); fetch or write the file again")


class _Scanner:
    """Follows brackets through data that comes in chunks. place: what was read of it; begin: the open object's start."""

    def __init__(self, keys: set[bytes], met: set[bytes]) -> None:
        self.depth = 0
        self._keys, self._met = keys, met
        self._place, self._begin = 0, -1
        self._last = b""
        self._listed = 0  # the depth inside the wanted list that is open, 0 if none is

    def scan(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """(key, begin, end) of every object that ends in the data."""
        for token in _TOKEN.finditer(data, self._place):
            begin, end = token.span()
            mark = data[begin]
            if mark == _QUOTE:
                if end - begin == 1:  # goes on in the next chunk
                    return
                if self._listed == self.depth > 0:
                    yield self._last.decode("utf-8", "replace"), begin, end
                elif self.depth == 1:
                    self._last = data[begin + 1 : end - 1]
            elif mark in _OPEN:
                self._enter(mark, begin)
            elif self._leave():
                yield self._last.decode("utf-8", "replace"), self._begin, end
                self._begin = -1
            self._place = end

    def let_go(self) -> int:
        """How much of the data is done with; places count from there on."""
        done = self._begin if self._begin >= 0 else self._place
        self._place -= done
        self._begin = 0 if self._begin >= 0 else -1
        return done

    def _enter(self, mark: int, begin: int) -> None:
        self.depth += 1
        if self._listed and mark == _OBJECT and self.depth == self._listed + 1:
            self._begin = begin
        elif mark == _LIST and (self.depth == 1 or (self.depth == 2 and self._wanted())):
            self._listed = self.depth
            self._met.add(self._last)

    def _leave(self) -> bool:
        """Whether an object of a wanted list ends here."""
        self.depth -= 1
        if self.depth == self._listed - 1:
            self._listed = 0
        return self._begin >= 0 and self.depth == self._listed

    def _wanted(self) -> bool:
        return not self._keys or self._last in self._keys
