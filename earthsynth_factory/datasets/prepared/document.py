"""What lies in a folder of masks: our prepared layout, EarthSynth's published one, or just id masks.

prepared     masks/, instances/ and dataset.json (`DatasetFile` has its fields)
EarthSynth   masks/ beside images/, stems `<SOURCE>_<original>_<crop>[_<class>]`, ids 0–68
plain        a folder of PNGs, or one PNG
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from earthsynth_factory.datasets.build.records import PairRecord
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.gates import plain
from earthsynth_factory.io.pictures import SUFFIXES

MAX_JSON_BYTES = 1 << 28
"""Largest dataset.json that is read, in bytes: some millions of items."""


Name = Annotated[str, AfterValidator(plain)]
ClassId = Annotated[int, Field(ge=0, le=254)]
Side = Annotated[int, Field(ge=1, le=1 << 29)]
Corner = Annotated[int, Field(ge=-(1 << 31), le=1 << 31)]


def _image(name: str) -> str:
    if not name.lower().endswith(SUFFIXES):
        raise ValueError(f"{name[:80]!r} is no image's name; it ends in {', '.join(SUFFIXES)}")
    return plain(name)


class ItemRecord(BaseModel):
    """One item of dataset.json. group: the scene a split must not tear apart. image: file name, else the stem's.
    size: (H, W) pixels. categories: ids present, ascending. corner: row and column in its scene. crs, transform: where it
    lies on the ground (`EPSG:…` or WKT; six numbers: column, row → x, y). pair: the counterfactual pair it is of. All but the
    group may be left out.
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
    pair: PairRecord | None = None

    def place(self) -> dict[str, str | int]:
        """Where it lies in its scene and on the ground, as plain values; empty where nothing is known."""
        found: dict[str, str | int] = {"top": self.corner[0], "left": self.corner[1]} if self.corner else {}
        if self.transform:
            found["transform"] = " ".join(map(repr, self.transform))
        return {**found, "crs": self.crs} if self.crs else found


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


@dataclass(frozen=True, slots=True)
class Entry:
    """One mask file with its stat: (size in bytes, mtime in ns), and the same of its instance map where it has one."""

    stem: str
    mask: Path
    instances: Path | None
    stamp: tuple[int, ...]
    group: str
    split: str | None
    metres_per_pixel: float | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder's masks, by stem. `about` is its dataset.json, None for the other two layouts."""

    root: Path
    entries: tuple[Entry, ...]
    about: DatasetFile | None


def find_layout(path: Path, group_pattern: str | None = None) -> Layout:
    """List `path` (a folder or one PNG).

    group_pattern: a regular expression whose first bracket in a stem is the group; without one, EarthSynth's layout
    takes everything before the crop number, a plain folder the whole stem. Raises SourceError where nothing is usable.
    """
    if path.is_file():
        return Layout(path, (_entry(path, {}, None, path.stem, path.stat()),), None)
    if not path.is_dir():
        raise SourceError(f"{path}: no such folder or file; check `path` (it starts at the recipe's folder)")
    about = read_about(path / "dataset.json")
    published = (path / "masks").is_dir()
    if about is not None and not published:
        raise SourceError(f"{path}: dataset.json stands there without masks/; prepare the dataset again")
    folder = path / "masks" if published else path
    group_of = _by_pattern(group_pattern) if group_pattern else earthsynth_group if published else str
    maps = dict(_files(path / "instances", path)) if about is not None else {}
    entries = tuple(_entry(file, maps, about, group_of(file.stem), stat) for file, stat in _files(folder, path))
    _check(path, entries, about)
    return Layout(path, entries, about)


def earthsynth_group(stem: str) -> str:
    """The scene of an EarthSynth stem: all before the crop number, less a trailing class name.

    >>> earthsynth_group("FAST_train_5093_0001_0_small_vehicle"), earthsynth_group("LD_300_0")
    ('FAST_train_5093_0001', 'LD_300')
    """
    return re.sub(r"_\d+$", "", _CLASS_SUFFIX.sub("", stem))


_CLASS_SUFFIX = re.compile(
    "_(?:" + "|".join(re.escape(category.name.replace(" ", "_")) for category in earthsynth()) + ")$", re.IGNORECASE
)


def _by_pattern(pattern: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def group_of(stem: str) -> str:
        match = compiled.search(stem)
        if match is None:
            raise SourceError(f"mask {stem!r}: group_pattern {pattern!r} does not fit; widen it, or move the mask away")
        return match.group(1)

    return group_of


def read_about(path: Path) -> DatasetFile | None:
    """What a dataset.json says; None where there is none. Raises SourceError where it is too large or malformed."""
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


def _files(folder: Path, root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The PNG files of a folder by name, none of them leading out of `root` through a link."""
    if not folder.is_dir():
        return
    inside = root.resolve()
    _stay_inside(folder, inside)
    for found in sorted(os.scandir(folder), key=lambda found: found.name):
        if found.name.lower().endswith(".png") and not found.name.startswith("."):
            path = folder / found.name
            if found.is_symlink():
                _stay_inside(path, inside)
            yield path, _stat(path)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; mend or remove the file") from error


def _stay_inside(path: Path, inside: Path) -> None:
    if not path.resolve().is_relative_to(inside):
        raise SourceError(f"{path}: a link that leads out of {inside}; copy the file in, or give the folder it lies in")


def _entry(
    mask: Path,
    maps: dict[Path, os.stat_result],
    about: DatasetFile | None,
    group: str,
    stat: os.stat_result,
) -> Entry:
    record = about.items.get(mask.stem) if about else None
    beside = mask.parent.parent / "instances" / mask.name
    instances = beside if beside in maps else None
    stamps = [stat] if instances is None else [stat, maps[beside]]
    return Entry(
        stem=mask.stem,
        mask=mask,
        instances=instances,
        stamp=tuple(number for one in stamps for number in (one.st_size, one.st_mtime_ns)),
        group=record.group if record else group,
        split=record.split if record else None,
        metres_per_pixel=record.metres_per_pixel if record else None,
    )


def _check(path: Path, entries: tuple[Entry, ...], about: DatasetFile | None) -> None:
    """A folder without masks, and a list that does not agree with the files, are the user's to mend."""
    if not entries:
        raise SourceError(f"{path}: no PNG masks in it; give the folder that holds masks/, or the masks themselves")
    if about is None:
        return
    there = {entry.stem for entry in entries}
    missing, unlisted = sorted(about.items.keys() - there), sorted(there - about.items.keys())
    if missing:
        raise SourceError(f"{path / 'masks'}: {missing[0]}.png is missing though dataset.json lists it; prepare again")
    if unlisted:
        raise SourceError(f"{path / 'masks'}: {unlisted[0]}.png is not in dataset.json; list it there or remove it")
