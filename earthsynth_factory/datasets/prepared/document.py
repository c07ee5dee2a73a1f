"""`dataset.json` of a prepared folder: what it holds, and reading it."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, InstanceOf, ValidationError

from earthsynth_factory.datasets.prepared.items import ClassId, Items, read_items
from earthsynth_factory.datasets.prepared.layout import FORMAT, PreparedLayout
from earthsynth_factory.errors import SourceError

MAX_JSON_BYTES = 1 << 33
"""Largest dataset.json that is read, in bytes: some ten millions of items."""

ENDS = 1 << 20
"""Bytes of a file's beginning and end in which it says what it is."""


class DatasetFile(BaseModel):
    """dataset.json of the prepared layout. classes: file id → category name. dense: background is no "unknown"."""

    model_config = ConfigDict(frozen=True)
    format: Literal["earthsynth-factory/dataset"]
    version: Literal[1]
    name: str
    source: str = ""
    licence: str = "unknown"
    credit: str = ""
    classes: dict[ClassId, str]
    dense: bool = False
    items: InstanceOf[Items]


def is_prepared(root: Path) -> bool:
    """Whether a folder holds a dataset.json of its own."""
    return PreparedLayout(root).dataset.is_file()


def is_document(path: Path) -> bool:
    """Whether a file called dataset.json is of this layout, and not another program's."""
    with path.open("rb") as file:
        ends = file.read(ENDS)
        file.seek(max(len(ends), path.stat().st_size - ENDS))
        return f'"{FORMAT}"'.encode() in ends + file.read(ENDS)


def read_dataset_file(file: IO[bytes], path: Path) -> tuple[DatasetFile, dict[str, Any]]:
    """What an open dataset.json says, and all that stands there beside the items. Raises SourceError; OSError."""
    rest, items = read_items(file, path)
    try:
        facts = orjson.loads(rest)
        if not isinstance(facts, dict) or facts.get("items") != {}:
            raise SourceError(f"{path}: items: one block of items is wanted; prepare the dataset again")
        return DatasetFile.model_validate({**facts, "items": items}), facts
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{path}: malformed JSON ({error}); prepare the dataset again") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise SourceError(f"{path}: {place or 'the file'}: {fault['msg']}; prepare the dataset again") from error


def read_about(root: Path) -> DatasetFile | None:
    """What a folder's dataset.json says; None if there is none. Raises SourceError if it is too large or malformed."""
    path = PreparedLayout(root).dataset
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_JSON_BYTES:
        raise SourceError(f"{path}: larger than {MAX_JSON_BYTES} bytes; prepare the dataset in parts")
    with path.open("rb") as file:
        return read_dataset_file(file, path)[0]
