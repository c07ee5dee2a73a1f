"""The table of built-in categories, `categories.toml`: a category is written there and nowhere else."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("categories.toml")


@dataclass(frozen=True, slots=True)
class Size:
    """length: longer or forward extent in metres, low and high. ratio: width per length. why: where it comes from."""

    length: tuple[float, float]
    ratio: tuple[float, float]
    why: str

    @property
    def typical(self) -> float:
        """The middle of the range, metres."""
        return (self.length[0] + self.length[1]) / 2


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """A line of the table; the file says at its head what the keys mean. Names in it are those of other lines."""

    id: int
    name: str
    thing: bool = False
    color: tuple[int, int, int] | None = None
    also: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    size: Size | None = None
    figure: str | None = None
    scenes: tuple[str, ...] = ()
    ground: tuple[str, ...] = ()
    parent: str | None = None


@cache
def rows() -> tuple[CategoryRow, ...]:
    """All categories, ascending by id."""
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(_row(index, line) for index, line in enumerate(document["category"]))


def _row(index: int, line: dict[str, Any]) -> CategoryRow:
    size = _size(line.pop("length"), line.pop("from"), line) if "length" in line else None
    lists: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in line.items()}
    return CategoryRow(index, size=size, **lists)


def _size(length: Any, why: str, line: dict[str, Any]) -> Size:
    if isinstance(length, list):
        low, high = line.pop("ratio")
        return Size((length[0], length[1]), (low, high), why)
    ratio = line.pop("width") / length
    return Size((length, length), (ratio, ratio), why)
