"""The lists of a prepared folder without some of its items."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.datasets.prepared.layout import PreparedLayout


def without_items(path: Path, data: bytes, names: Collection[str], leaving: Collection[Path]) -> bytes | None:
    """A list without the items that go; None if it is none of this layout's. names: the stems that stay.

    leaving: files that go. Raises ValueError, KeyError, TypeError, AttributeError if the list is damaged.
    """
    layout = PreparedLayout(path.parent)
    if path == layout.dataset:
        document = orjson.loads(data)
        items = {stem: item for stem, item in document["items"].items() if stem in names}
        return orjson.dumps({**document, "items": items}, option=orjson.OPT_INDENT_2) + b"\n"
    stays: dict[Path, Callable[[Any], bool]] = {
        layout.train: lambda line: not {path.parent / line["file_name"], path.parent / line["mask_name"]} & {*leaving},
        layout.instance_lines: lambda line: line["stem"] in names,
    }
    return kept_lines(data, stays[path]) if path in stays else None


def kept_lines(data: bytes, stays: Callable[[Any], bool]) -> bytes:
    """The lines of a JSON list, a value a line, that are to stay. Raises as `stays` does, and ValueError."""
    return b"".join(line for line in data.splitlines(True) if stays(orjson.loads(line)))
