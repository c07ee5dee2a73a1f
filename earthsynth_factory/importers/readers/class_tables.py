"""What the ids or colours of label images mean, in the forms that tools write it.

classes.json    {"1": "road"}, {"road": 1}, {"#3C1098": "building"}, a list of names from 0, a list of `id` and `name`; or one
                of these under `classes`
classes.txt, class_names.txt, label_names.txt    a name a line, from 0
labelmap.txt    `name:r,g,b:parts:actions`
_classes.csv    `Pixel Value, Class`
class_dict.csv  `name,r,g,b` or `r,g,b,name`, with commas or semicolons
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.texts import read_json, read_lines, read_names
from earthsynth_factory.importers.tree import Tree


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Words by id and by colour (0xRRGGBB); `file` says so. counted: it is a list, whose places are taken for ids."""

    file: Path
    ids: dict[int, str] = field(default_factory=dict)
    colours: dict[int, str] = field(default_factory=dict)
    counted: bool = False


def find_tables(tree: Tree) -> list[ClassTable]:
    """Every class table below the root, the highest first; files that are called so and hold something else are none."""
    found = []
    for name, read in FORMS.items():
        for file in tree.called(name):
            try:
                table = read(file)
            except (SourceError, ValueError):
                continue
            if table is not None and (table.ids or table.colours):
                found.append(table)
    return sorted(found, key=lambda table: len(table.file.parts))


def _json(path: Path) -> ClassTable | None:
    document = read_json(path)
    if isinstance(document, dict) and isinstance(document.get("classes"), list | dict):
        document = document["classes"]
    names = _entries(document)
    if not all(isinstance(name, str | int) for name in names.values()):
        return None
    table = ClassTable(path, counted=isinstance(document, list) and all(isinstance(one, str) for one in document))
    for key, name in names.items():
        if str(key).startswith("#"):
            table.colours[int(str(key)[1:], 16)] = str(name)
        else:
            table.ids[int(str(key))] = str(name)
    return table


def _entries(document: Any) -> dict[Any, Any]:
    """Id or colour → name."""
    if isinstance(document, list) and all(isinstance(one, dict) for one in document):
        return {one.get("id"): one.get("name") for one in document}
    if isinstance(document, list):
        return dict(enumerate(document))
    if not isinstance(document, dict):
        return {}
    numbers = [value for value in document.values() if isinstance(value, int)]
    turned = len(set(numbers)) == len(document) and not any(key.isdecimal() for key in document)
    return {value: key for key, value in document.items()} if turned else document


def _names(path: Path) -> ClassTable:
    return ClassTable(path, dict(enumerate(read_names(path))), counted=True)


def _labelmap(path: Path) -> ClassTable:
    table = ClassTable(path)
    for line in read_lines(path):
        name, *rest = line.split(":")
        if rest and (channels := re.fullmatch(r"\s*(\d+),\s*(\d+),\s*(\d+)\s*", rest[0])):
            table.colours[_packed(channels.groups())] = name.strip()
    return table


def _values(path: Path) -> ClassTable:
    rows = (row for row in csv.reader(read_lines(path)) if len(row) >= 2)
    return ClassTable(path, {int(row[0]): row[1].strip() for row in rows if row[0].strip().isdecimal()})


def _named_colours(path: Path) -> ClassTable:
    lines = list(read_lines(path))
    comma = ";" if lines and lines[0].count(";") >= 3 else ","
    table = ClassTable(path)
    for row in csv.reader(lines, delimiter=comma):
        cells = [cell.strip() for cell in row]
        for name, channels in ((cells[:1], cells[1:4]), (cells[3:4], cells[:3])):
            if name and len(channels) == 3 and all(map(str.isdecimal, channels)):
                table.colours[_packed(channels)] = name[0]
                break
    return table


def _packed(channels: tuple[str, ...] | list[str]) -> int:
    red, green, blue = (min(int(channel), 255) for channel in channels)
    return red << 16 | green << 8 | blue


FORMS: dict[str, Callable[[Path], ClassTable | None]] = {
    "classes.json": _json,
    "labelmap.txt": _labelmap,
    "_classes.csv": _values,
    "class_dict.csv": _named_colours,
    "classes.txt": _names,
    "class_names.txt": _names,
    "label_names.txt": _names,
}
"""File name → what reads it."""
