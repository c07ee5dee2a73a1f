"""The masks of a folder, and the picture of each: our prepared layout, EarthSynth's published one, or just id masks.

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

from earthsynth_factory.datasets.prepared.document import DatasetFile, read_about
from earthsynth_factory.datasets.prepared.layout import IMAGES, INSTANCES, MASKS
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.pictures import SUFFIXES


@dataclass(frozen=True, slots=True)
class MaskEntry:
    """One mask file with its stat: (size in bytes, mtime in ns), and the same of its instance map if it has one."""

    stem: str
    mask: Path
    instances: Path | None
    stamp: tuple[int, ...]
    group: str
    split: str | None
    metres_per_pixel: float | None


@dataclass(frozen=True, slots=True)
class MaskListing:
    """A folder's masks, by stem. `about` is its dataset.json, None for the other two layouts."""

    root: Path
    entries: tuple[MaskEntry, ...]
    about: DatasetFile | None


def find_masks(path: Path, group_pattern: str | None = None) -> MaskListing:
    """List `path` (a folder or one PNG).

    group_pattern: a regular expression whose first bracket in a stem is the group; without one, EarthSynth's layout
    takes everything before the crop number, a plain folder the whole stem. Raises SourceError if nothing is usable.
    """
    if path.is_file():
        return MaskListing(path, (_entry(path, {}, None, path.stem, path.stat()),), None)
    if not path.is_dir():
        raise SourceError(f"{path}: no such folder or file; check `path` (it starts at the recipe's folder)")
    about = read_about(path)
    published = (path / MASKS).is_dir()
    if about is not None and not published:
        raise SourceError(f"{path}: dataset.json stands there without masks/; prepare the dataset again")
    folder = path / MASKS if published else path
    group_of = _by_pattern(group_pattern) if group_pattern else earthsynth_group if published else str
    maps = dict(_files(path / INSTANCES, path)) if about is not None else {}
    entries = tuple(_entry(file, maps, about, group_of(file.stem), stat) for file, stat in _files(folder, path))
    _check(path, entries, about)
    return MaskListing(path, entries, about)


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


def picture_path(listing: MaskListing, entry: MaskEntry) -> Path:
    """The picture of a mask: named in dataset.json, or of the mask's own stem (EarthSynth: with `image` for `mask`).

    Raises SourceError if there is none.
    """
    stem, images = entry.stem, entry.mask.parent.parent / IMAGES
    record = listing.about.items.get(stem) if listing.about else None
    stems = dict.fromkeys([stem, stem.replace("mask", "image")])
    names = [record.image] if record and record.image else [f"{one}{suffix}" for one in stems for suffix in SUFFIXES]
    inside = listing.root.resolve()
    for path in (images / name for name in names):
        if path.is_file() and path.resolve().is_relative_to(inside):
            return path
    raise SourceError(
        f"{images}: no picture for the mask {stem!r}; `pictures: true` needs a prepared folder, or images/ beside masks/"
    )


def lacks_pictures(path: Path) -> Path | None:
    """The folder that pictures would lie in, if `path` holds masks and no such folder."""
    pictures = path / IMAGES
    return pictures if (path / MASKS).is_dir() and not pictures.is_dir() else None


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
) -> MaskEntry:
    record = about.items.get(mask.stem) if about else None
    beside = mask.parent.parent / INSTANCES / mask.name
    instances = beside if beside in maps else None
    stamps = [stat] if instances is None else [stat, maps[beside]]
    return MaskEntry(
        stem=mask.stem,
        mask=mask,
        instances=instances,
        stamp=tuple(number for one in stamps for number in (one.st_size, one.st_mtime_ns)),
        group=record.group if record else group,
        split=record.split if record else None,
        metres_per_pixel=record.metres_per_pixel if record else None,
    )


def _check(path: Path, entries: tuple[MaskEntry, ...], about: DatasetFile | None) -> None:
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
