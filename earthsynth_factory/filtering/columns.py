"""What decisions need to know of every image, in columns: some 50 bytes an image, and 8 a measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import StoreError
from earthsynth_factory.filtering.row import ScoreRow
from earthsynth_factory.io.compact import short_digest

NONE = -1
"""A category that is none."""

MOST_MEASURES, MOST_LISTS = 256, 4096
"""Measures of one rule, and lists of them: each measure is a column, so a stranger's journal must not name thousands."""

Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one image. usable: whether it could be read. measured: rule → its numbers, of those asked."""

    category: int | None
    usable: bool
    measured: Mapping[str, Mapping[str, float]]


class ScoreColumns:
    """N images of a folder by their places."""

    def __init__(self, count: int, settings: Mapping[str, str]) -> None:
        """settings: rule → digest of the settings with which its measures count; those of others are left out."""
        self._settings = settings
        self._stamps = np.zeros(count, np.uint64)
        self._usable, self._faulty = np.zeros(count, bool), np.zeros(count, bool)
        self._categories = np.full(count, NONE, np.int16)
        self._digests, self.hashes = np.zeros((count, 16), np.uint8), np.zeros(count, np.uint64)
        self._measured = {rule: _Measures(count) for rule in settings}

    def __len__(self) -> int:
        return len(self._usable)

    def note(self, place: int, row: ScoreRow) -> None:
        """Take in what is stored of an image."""
        self._stamps[place] = short_digest(row.stamp)
        self._usable[place], self._faulty[place] = not row.fault, bool(row.fault)
        self._categories[place] = NONE if row.category is None else row.category
        self._digests[place] = np.frombuffer(bytes.fromhex(row.digest or "0" * 32), np.uint8)
        self.hashes[place] = int(row.phash or "0", 16)
        for rule, measures in self._measured.items():
            measures.note(place, row.measures(rule, self._settings[rule]))

    def is_current(self, place: int, stamp: str) -> bool:
        """Whether what is known is of the image as it is now."""
        return bool(self._usable[place] | self._faulty[place]) and int(self._stamps[place]) == short_digest(stamp)

    def lacks(self, place: int, rules: Sequence[str]) -> bool:
        """Whether one of these rules was not asked yet of an image that can be read."""
        return not self._faulty[place] and any(not self._measured[rule].asked[place] for rule in rules)

    def known(self, place: int) -> Known:
        """What is known of one image."""
        measured = {rule: found for rule, of in self._measured.items() if (found := of.at(place)) is not None}
        return Known(self.category(place), bool(self._usable[place]), measured)

    def __iter__(self) -> Iterator[Known]:
        return map(self.known, range(len(self)))

    def category(self, place: int) -> int | None:
        """The class by which the image is judged; None without one."""
        found = int(self._categories[place])
        return None if found == NONE else found

    @property
    def categories(self) -> list[int | None]:
        """(N,) classes."""
        return [None if found == NONE else found for found in self._categories.tolist()]

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """(N,) which images could be read."""
        return self._usable

    def of_classes(self, classes: Sequence[int]) -> npt.NDArray[np.bool_]:
        """(N,) which images are judged by one of these; `NONE` is one, too."""
        return np.isin(self._categories, classes)

    def digest(self, place: int) -> bytes:
        """Of the pixels."""
        return bytes(self._digests[place])

    def column(self, rule: str, measure: str) -> Numbers:
        """(N,) numbers; NaN if there is none."""
        return self._measured[rule].column(measure)

    def measures(self, rule: str) -> list[tuple[int, tuple[str, ...]]]:
        """Names of the rule's measures, each list of them that occurs, with the first place where it does."""
        return self._measured[rule].lists()

    def at(self, places: Places) -> ScoreColumns:
        """Some of the images."""
        found = ScoreColumns(0, self._settings)
        for name in ("_stamps", "_usable", "_faulty", "_categories", "_digests", "hashes"):
            setattr(found, name, getattr(self, name)[places])
        found._measured = {rule: measures.some(places) for rule, measures in self._measured.items()}
        return found


class _Measures:
    """One rule's measures. Which there are differs from image to image, but there are few lists of names."""

    def __init__(self, count: int) -> None:
        self._lists: list[tuple[str, ...]] = []
        self._list = np.zeros(count, np.uint16)
        """(N,) 0 if the rule was not asked, else one more than the number of the list."""
        self._columns: dict[str, Numbers] = {}

    @property
    def asked(self) -> npt.NDArray[np.uint16]:
        return self._list

    def note(self, place: int, measures: Mapping[str, float] | None) -> None:
        """None: not asked."""
        self._list[place] = 0 if measures is None else self._number(tuple(measures))
        for name, value in (measures or {}).items():
            if name not in self._columns:
                self._columns[name] = np.full(len(self._list), np.nan)
            self._columns[name][place] = value

    def _number(self, names: tuple[str, ...]) -> int:
        if names not in self._lists:
            if len(self._lists) >= MOST_LISTS or len(self._columns.keys() | names) > MOST_MEASURES:
                raise StoreError(f"more than {MOST_MEASURES} measures of one rule; choose another --out")
            self._lists.append(names)
        return self._lists.index(names) + 1

    def at(self, place: int) -> dict[str, float] | None:
        """The image's measures; None if the rule was not asked."""
        number = int(self._list[place])
        return {name: float(self._columns[name][place]) for name in self._lists[number - 1]} if number else None

    def column(self, name: str) -> Numbers:
        """(N,), NaN if the image has no such measure now: an earlier line of it may have had one."""
        having = [number for number, names in enumerate(self._lists, start=1) if name in names]
        empty = np.full(len(self._list), np.nan)
        return np.where(np.isin(self._list, having), self._columns[name], np.nan) if having else empty

    def lists(self) -> list[tuple[int, tuple[str, ...]]]:
        """Those that occur, each with the first place where it does."""
        numbers, firsts = np.unique(self._list, return_index=True)
        return [(int(at), self._lists[n - 1]) for n, at in zip(numbers.tolist(), firsts, strict=True) if n]

    def some(self, places: Places) -> _Measures:
        found = _Measures(0)
        found._lists, found._list = self._lists, self._list[places]
        found._columns = {name: values[places] for name, values in self._columns.items()}
        return found
