"""YAML files of datasets: plain data, within the bounds that recipes have (depth, values, aliases counted in full)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError

MAX_BYTES = 1 << 20
"""Largest YAML file that is read: settings and class lists have a line a class."""


def read_yaml(path: Path) -> Any:
    """What the file says; dates stay text. Raises SourceError naming the file and the line: too large, deep, or no YAML."""
    from earthsynth_factory.recipe.document import read_document

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise SourceError(f"{path}: larger than {MAX_BYTES} bytes; no list of classes is")
    document = read_document(data.decode("utf-8", "replace").removeprefix("\ufeff"), str(path))
    if document.faults:
        raise SourceError(str(document.faults[0]))
    return document.data
