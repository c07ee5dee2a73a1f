"""`dataset.json` of a prepared folder: what it holds, and reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from earthsynth_factory.datasets.build.records import PairRecord
from earthsynth_factory.datasets.prepared.layout import FORMAT, PreparedLayout
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.gates import plain_name
from earthsynth_factory.io.georeference import transform_text
from earthsynth_factory.io.pictures import SUFFIXES
from earthsynth_factory.io.taken import iso_time

MAX_JSON_BYTES = 1 << 28
"""Largest dataset.json that is read, in bytes: some millions of items."""


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
    """One item of dataset.json. group: the scene a split must not tear apart. image: file name, else the stem's.
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
            "bands": self.bands and " ".join(map(str, self.bands)),
            "datetime": self.datetime,
        }
        return found | {name: text for name, text in texts.items() if text is not None}


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
    items: dict[Name, ItemRecord]


def is_prepared(root: Path) -> bool:
    """Whether a folder holds a dataset.json of its own."""
    return PreparedLayout(root).dataset.is_file()


def is_document(path: Path) -> bool:
    """Whether a file called dataset.json is of this layout, and not another program's."""
    return f'"{FORMAT}"'.encode() in path.read_bytes()


def read_about(root: Path) -> DatasetFile | None:
    """What a folder's dataset.json says; None if there is none. Raises SourceError if it is too large or malformed."""
    path = PreparedLayout(root).dataset
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_JSON_BYTES:
        raise SourceError(f"{path}: larger than {MAX_JSON_BYTES} bytes; prepare the dataset in parts")
    try:
        return DatasetFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise SourceError(f"{path}: {place or 'the file'}: {fault['msg']}; prepare the dataset again") from error
