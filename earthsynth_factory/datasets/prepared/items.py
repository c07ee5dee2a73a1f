"""The items of dataset.json, of which there may be millions: found once, each read when it is asked for."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from earthsynth_factory.datasets.build.records import PairRecord
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.gates import plain_name
from earthsynth_factory.io.georeference import transform_text
from earthsynth_factory.io.pictures import SUFFIXES
from earthsynth_factory.io.taken import iso_time

CHUNK = 1 << 20
MAX_ITEM = 1 << 20
"""Largest entry of an item, and what stands before and after all of them, in bytes."""

_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'(?:[^{}"]++|%s)*+' % _TEXT
_ITEM = re.compile(rb"\s*(,?)\s*(%s)\s*:\s*(\{%s(?:\{%s\}%s)*+\})" % (_TEXT, _FLAT, _FLAT, _FLAT), re.DOTALL)
"""An entry: comma, key, and a block with none but flat ones inside."""

_ITEM_END = re.compile(rb"\s*\}")
_TOKEN = re.compile(rb"%s|[{}\[\]]" % _TEXT, re.DOTALL)
_OPENED = re.compile(rb"\s*:\s*\{")


Name = Annotated[str, AfterValidator(plain_name)]
ClassId = Annotated[int, Field(ge=0, le=254)]
Side = Annotated[int, Field(ge=1, le=1 << 29)]
Band = Annotated[int, Field(ge=1, le=1 << 16)]
Corner = Annotated[int, Field(ge=-(1 << 31), le=1 << 31)]


def _image(name: str) -> str:
    if not name.lower().endswith(SUFFIXES):
        raise ValueError(f"{name[:80]!r} is no image's name; it ends in {', '.join(SUFFIXES)}")
    return plain_name(name)


def _time(text: str) -> str:
    if iso_time(text) != text:
        raise ValueError(f"{text[:40]!r} is no time such as 2024-05-01T10:11:12Z, nor a day")
    return text


class ItemRecord(BaseModel):
    """One item of dataset.json. group: the scene a split must not divide. image: file name, else the stem's.
    size: (H, W) pixels. categories: ids present, ascending. corner: row and column in its scene. crs, transform: where it
    lies on the ground (`EPSG:…` or WKT; six numbers: column, row → x, y). source_file, nodata, bands, datetime: the file it
    was cut from, and what that says: its no-data value, which of its bands are red, green and blue, when it was taken. pair:
    the counterfactual pair it is of. All but the group may be left out.
    """

    model_config = ConfigDict(frozen=True)
    group: str
    split: Name | None = None
    metres_per_pixel: float | None = Field(default=None, gt=0, lt=1000)
    size: tuple[Side, Side] | None = None
    categories: tuple[ClassId, ...] | None = None
    image: Annotated[str, AfterValidator(_image)] | None = None
    corner: tuple[Corner, Corner] | None = None
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    source_file: Annotated[str, Field(max_length=255)] | None = None
    nodata: float | Literal["nan", "inf", "-inf"] | None = None
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=3)] | None = None
    datetime: Annotated[str, AfterValidator(_time)] | None = None
    pair: PairRecord | None = None

    def place(self) -> dict[str, str | int]:
        """Where it lies in its scene and on the ground, and what it was cut from, as plain values, as far as known."""
        found: dict[str, str | int] = {"top": self.corner[0], "left": self.corner[1]} if self.corner else {}
        if self.transform:
            found["transform"] = transform_text(self.transform)
        if self.crs:
            found["crs"] = self.crs
        texts = {
            "source_file": self.source_file,
            "nodata": None if self.nodata is None else str(self.nodata),
            "bands": None if self.bands is None else " ".join(map(str, self.bands)),
            "datetime": self.datetime,
        }
        found.update((name, text) for name, text in texts.items() if text is not None)
        return found


class Items(Mapping[str, ItemRecord]):
    """Stem → item, in the file's order. Of each only its place is held: some 20 bytes."""

    def __init__(self, path: Path) -> None:
        """None yet: see `read_items`."""
        self.path = path
        self._starts, self._lengths, self._digests = array("Q"), array("I"), array("Q")
        self._sorted: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._order: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[str]:
        return (stem for stem, _ in self.walk(np.arange(len(self))))

    def __getitem__(self, stem: str) -> ItemRecord:
        """Raises KeyError, and SourceError if the file was changed."""
        wanted = _digest(stem)
        first, end = (int(np.searchsorted(self._sorted, np.uint64(wanted), side)) for side in ("left", "right"))
        for found, item in self.walk(self._order[first:end]):
            if found == stem:
                return item
        raise KeyError(stem)

    def items(self) -> ItemsView[str, ItemRecord]:
        """All in one go through the file."""
        return _Pairs(self)

    def values(self) -> ValuesView[ItemRecord]:
        """As `items`."""
        return _Records(self)

    def take(self, stem: str, start: int, length: int) -> None:
        """One more: where its entry lies."""
        self._starts.append(start)
        self._lengths.append(length)
        self._digests.append(_digest(stem))

    def settle(self) -> None:
        """All are taken. Raises SourceError if a stem stands there twice."""
        digests = np.frombuffer(self._digests, np.uint64) if len(self) else np.zeros(0, np.uint64)
        self._order = np.argsort(digests, kind="stable").astype(np.uint32)
        self._sorted = digests[self._order]
        self._digests = array("Q")
        for place in np.flatnonzero(self._sorted[1:] == self._sorted[:-1]).tolist():
            one, other = (stem for stem, _ in self.walk(self._order[place : place + 2]))
            if one == other:
                raise SourceError(f"{self.path}: items.{one[:200]}: stands there twice; prepare the dataset again")

    def walk(self, places: npt.NDArray[Any]) -> Iterator[tuple[str, ItemRecord]]:
        """The items at these places. Raises SourceError if the file was changed."""
        with self.path.open("rb") as file:
            for place in places.tolist():
                file.seek(self._starts[place])
                entry = _ITEM.fullmatch(file.read(self._lengths[place]))
                if entry is None:
                    raise SourceError(f"{self.path}: was changed while it was read; run again")
                yield orjson.loads(entry[2]), parse_item(entry[3], self.path, "")


class _Pairs(ItemsView[str, ItemRecord]):
    def __init__(self, items: Items) -> None:
        super().__init__(items)
        self._all = items

    def __iter__(self) -> Iterator[tuple[str, ItemRecord]]:
        return self._all.walk(np.arange(len(self)))


class _Records(ValuesView[ItemRecord]):
    def __init__(self, items: Items) -> None:
        super().__init__(items)
        self._all = items

    def __iter__(self) -> Iterator[ItemRecord]:
        return (item for _, item in self._all.walk(np.arange(len(self))))


def parse_item(data: bytes, path: Path, stem: str) -> ItemRecord:
    """An entry. Raises SourceError that names the field."""
    try:
        return ItemRecord.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(("items", stem[:200], *(str(part) for part in fault["loc"])))
        raise SourceError(f"{path}: {place}: {fault['msg']}; prepare the dataset again") from error


def read_items(file: IO[bytes], path: Path) -> tuple[bytes, Items]:
    """Every item, checked, and the document without them. Raises SourceError that names the place; OSError."""
    items, window = Items(path), _Window(file, path)
    if not window.enter():
        return window.data, items
    head = window.data[: window.place]
    while (entry := window.next(_ITEM)) is not None:
        if bool(entry[1]) != bool(len(items)):
            raise window.malformed()
        stem = _stem(entry[2], path)
        parse_item(entry[3], path, stem)
        begin = window.base + entry.start(2)
        items.take(stem, begin, entry.end(3) - entry.start(2))
        window.place = entry.end()
    end = window.next(_ITEM_END)
    if end is None:
        raise window.malformed()
    window.place = end.end()
    rest = window.rest()
    items.settle()
    return head + b"}" + rest, items


def _stem(text: bytes, path: Path) -> str:
    try:
        return plain_name(orjson.loads(text))
    except ValueError as error:
        raise SourceError(f"{path}: items: {error}; prepare the dataset again") from error


def _digest(stem: str) -> int:
    """The same in every process, which `hash` is not."""
    return int.from_bytes(hashlib.blake2b(stem.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class _Window:
    """What is at hand of a file. base: where `data` begins in it; place: what of it is done with."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self.data, self.base, self.place = b"", 0, 0

    def enter(self) -> bool:
        """Go to just behind the brace that opens the items; False if there is none in a whole document, held then."""
        while self._more():
            if len(self.data) > 2 * MAX_ITEM:
                break
            if (place := self._opening()) is not None:
                self.place = place
                return True
        if len(self.data) > MAX_ITEM:
            raise SourceError(f"{self._path}: no items in its first {MAX_ITEM} bytes; prepare the dataset again")
        return False

    def next(self, form: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """The form at this place, with as much of the file as it takes."""
        while (found := form.match(self.data, self.place)) is None:
            if _ITEM_END.match(self.data, self.place) or len(self.data) - self.place > MAX_ITEM or not self._more():
                return None
        return found

    def rest(self) -> bytes:
        """All from here on."""
        left = self.data[self.place :] + self._file.read(MAX_ITEM)
        if len(left) > 2 * MAX_ITEM or self._file.read(1):
            raise SourceError(f"{self._path}: more than {MAX_ITEM} bytes behind its items; prepare the dataset again")
        return left

    def malformed(self) -> SourceError:
        """What to raise for what stands at this place."""
        what = self.data[self.place : self.place + 40].decode("utf-8", "replace")
        return SourceError(
            f"{self._path}: byte {self.base + self.place}: no entry of an item: {what!r}; prepare the dataset again"
        )

    def _more(self) -> bool:
        chunk = self._file.read(CHUNK)
        self.base += self.place
        self.data, self.place = self.data[self.place :] + chunk, 0
        return bool(chunk)

    def _opening(self) -> int | None:
        depth = 0
        for token in _TOKEN.finditer(self.data):
            mark = token[0]
            if mark in (b"{", b"["):
                depth += 1
            elif mark in (b"}", b"]"):
                depth -= 1
            elif depth == 1 and mark == b'"items"' and (opened := _OPENED.match(self.data, token.end())):
                return opened.end()
        return None
