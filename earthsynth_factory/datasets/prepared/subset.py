"""The lists of a prepared folder without some of its items."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.datasets.prepared.layout import PreparedLayout


def line_test(path: Path, names: Container[str], leaving: Container[Path]) -> Callable[[Any], bool] | None:
    """Whether a line of a list stays; None if the file is no list of this layout with an item a line.

    names: the stems that stay. leaving: files that go. The test raises KeyError or TypeError at a line of another kind.
    """
    folder, layout = path.parent, PreparedLayout(path.parent)
    tests: dict[Path, Callable[[Any], bool]] = {
        layout.train: lambda line: (
            folder / line["file_name"] not in leaving and folder / line["mask_name"] not in leaving
        ),
        layout.instance_lines: lambda line: line["stem"] in names,
    }
    return tests.get(path)


def fewer_items(path: Path, root: Path, data: bytes, names: Container[str]) -> bytes | None:
    """dataset.json of the folder `root` with the items that stay; None if the file is another one.

    Raises ValueError, KeyError, TypeError or AttributeError if it is damaged.
    """
    if path != PreparedLayout(root).dataset:
        return None
    document = orjson.loads(data)
    items = {stem: item for stem, item in document["items"].items() if stem in names}
    return orjson.dumps({**document, "items": items}, option=orjson.OPT_INDENT_2) + b"\n"
