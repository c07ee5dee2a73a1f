"""Reading a prepared folder: what it says of itself, and the image, mask and objects of each item."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.records import Objects, SampleRecord, parsed
from earthsynth_factory.datasets.prepared.document import read_about
from earthsynth_factory.datasets.prepared.items import ItemRecord
from earthsynth_factory.datasets.prepared.layout import IMAGES, PreparedLayout
from earthsynth_factory.domain.condition import Origin
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.taxonomy import EARTHSYNTH_TEMPLATE, Taxonomy, earthsynth, make_category
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry import rle
from earthsynth_factory.geometry.boxes import tight_boxes, touches_border
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.runs import find_runs
from earthsynth_factory.io.bounded import bounded_lines
from earthsynth_factory.io.gates import read_below
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.jsonl import placed_records
from earthsynth_factory.io.pictures import Picture
from earthsynth_factory.io.stored import StoredFile

UNSPLIT = "train"
"""The split of items for which dataset.json says none."""


@dataclass(frozen=True, slots=True)
class PreparedRecord(SampleRecord):
    """A record that keeps the item's own name. metres_per_pixel: 0 if nothing is known."""

    name: str = ""

    @property
    def stem(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ObjectsLine:
    """A line of instances.jsonl."""

    stem: str
    instances: Objects


class PreparedDataset:
    """A folder that `prepare` wrote, as a `LabelledDataset`. Items are read when asked for; nothing is kept."""

    def __init__(self, root: Path) -> None:
        """Raises `SourceError` if `root` holds no dataset.json, or one of another format."""
        about = read_about(root)
        if about is None:
            raise SourceError(f"{root}: holds no dataset.json; prepare the dataset first")
        self.root, self.about = root, about
        self._layout = PreparedLayout(root)

    @property
    def name(self) -> str:
        return self.about.name

    @cached_property
    def version(self) -> str:
        """A digest of dataset.json."""
        with self._layout.dataset.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=6)).hexdigest()

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """EarthSynth's categories and those of the dataset's own."""
        known = {category.id for category in earthsynth()}
        own = [make_category(index, name) for index, name in self.about.classes.items() if index not in known]
        return earthsynth().extended(own)

    @property
    def targets(self) -> frozenset[int]:
        """Every category that occurs."""
        return frozenset(self.about.classes)

    @cached_property
    def splits(self) -> list[str]:
        """Those that occur: train, val, test, then any other by name."""
        found = {item.split or UNSPLIT for item in self.about.items.values()}
        return sorted(found, key=lambda split: (("train", "val", "test", split).index(split), split))

    @property
    def count(self) -> int:
        return len(self.about.items)

    def samples(self) -> Iterator[PreparedRecord]:
        """In the order of dataset.json. Where no objects are listed they are the connected parts of countable classes."""
        lines = self._lines()
        waiting = next(lines, None)
        for slot, (stem, item) in enumerate(self.about.items.items()):
            found: tuple[Instance, ...] | None = None
            if waiting is not None and waiting[0] == stem:
                found, waiting = waiting[1], next(lines, None)
            yield self._record(slot, stem, item, found)

    @property
    def lines(self) -> Path:
        """The file with a line of objects for every item; it may be missing."""
        return self._layout.instance_lines

    def placed_lines(self) -> Iterator[tuple[int, ObjectsLine]]:
        """Where each line of `lines` begins, and what it says. Raises SourceError at a damaged line."""
        if self.lines.is_file():
            yield from placed_records(self.lines, parse_line, "prepare the dataset again")

    def files_of(self, stem: str) -> tuple[Path, Path, Path]:
        """Image, mask and instance map of an item; also if one of them is missing."""
        try:
            image = self.path_of(stem)
        except SourceError:
            image = self._layout.image(self.about.items[stem].image or f"{stem}.png")
        return image, self._layout.mask(stem), self._layout.instances(stem)

    def image_file(self, record: SampleRecord) -> StoredFile:
        return StoredFile(self.path_of(record.stem))

    def stamp(self, record: SampleRecord) -> str:
        paths = (self.path_of(record.stem), *self.files_of(record.stem)[1:])
        stats = [path.stat() if path.is_file() else None for path in paths]
        return " ".join(f"{stat.st_size} {stat.st_mtime_ns}" if stat else "-" for stat in stats)

    def image(self, record: SampleRecord) -> npt.NDArray[np.uint8]:
        return self.read_image(record.stem)

    def mask(self, record: SampleRecord) -> npt.NDArray[np.uint8]:
        return self.read_mask(record.stem)

    def instances(self, record: SampleRecord) -> npt.NDArray[np.uint16]:
        numbers = self.read_numbers(record.stem)
        return self._parts(self.mask(record)) if numbers is None else numbers

    def path_of(self, stem: str) -> Path:
        """Where the item's image lies. Raises `SourceError` if there is none."""
        listed = self.about.items[stem].image
        names = [listed] if listed else [f"{stem}{suffix}" for suffix in (".png", ".jpg", ".jpeg")]
        found = next((path for path in map(self._layout.image, names) if path.is_file()), None)
        if found is None:
            raise SourceError(f"{self.root / IMAGES}: no image for {stem!r}; prepare the dataset again")
        return read_below(found, self.root)

    def read_image(self, stem: str) -> npt.NDArray[np.uint8]:
        """RGB (H, W, 3). Raises `SourceError` if it is missing or damaged."""
        with Picture(self.path_of(stem)) as picture:
            return picture.rgb(0, picture.shape[0])

    def read_mask(self, stem: str) -> npt.NDArray[np.uint8]:
        """Category ids (H, W). Raises `SourceError` if it is missing or damaged."""
        path = self._layout.mask(stem)
        ids = read_ids(read_below(path, self.root))
        fits = self._known[np.minimum(ids, 256)]
        if not fits.all():
            raise SourceError(f"{path}: id {int(ids[~fits][0])} is no class of dataset.json; prepare the dataset again")
        return ids.astype(np.uint8)

    def read_numbers(self, stem: str) -> npt.NDArray[np.uint16] | None:
        """Instance ids (H, W), 0 = none; None if the dataset knows no objects."""
        path = self._layout.instances(stem)
        return read_ids(read_below(path, self.root)) if path.is_file() else None

    @cached_property
    def _known(self) -> npt.NDArray[np.bool_]:
        """(257,) which ids a mask may hold: those of categories, and 255 for "ignore"; the last stands for all beyond."""
        known = np.zeros(257, bool)
        known[[*(category.id for category in self.taxonomy), 255]] = True
        return known

    def _record(self, slot: int, stem: str, item: ItemRecord, listed: tuple[Instance, ...] | None) -> PreparedRecord:
        size, categories = item.size, item.categories
        if listed is None or size is None or categories is None:
            mask = self.read_mask(stem)
            size, categories = (mask.shape[0], mask.shape[1]), tuple(present_classes(mask))
            listed = self._found(mask, self.read_numbers(stem)) if listed is None else listed
        names = ", ".join(self.taxonomy[category].name for category in categories)
        return PreparedRecord(
            slot=slot,
            category=None,
            split=item.split or UNSPLIT,
            width=size[1],
            height=size[0],
            metres_per_pixel=item.metres_per_pixel or 0.0,
            prompt=EARTHSYNTH_TEMPLATE.format(classes=names) if names else "A satellite image",
            classes=categories,
            instances=listed,
            scores={},
            attempt=0,
            condition_seed=0,
            image_seed=0,
            origin=Origin(f"real:{self.name}", item.group, item.place()),
            pair=item.pair,
            name=stem,
        )

    def _parts(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
        return components(mask, [category.id for category in self.taxonomy if category.thing])

    def _found(self, mask: npt.NDArray[np.uint8], numbers: npt.NDArray[np.uint16] | None) -> tuple[Instance, ...]:
        """Instances of a map, or of a mask's connected parts."""
        runs = find_runs(self._parts(mask) if numbers is None else numbers)
        boxes, areas, texts = tight_boxes(runs), runs.areas(), rle.encode_runs(runs)
        at_border = touches_border(boxes, *mask.shape)
        rows, columns = runs.corners()
        return tuple(
            Instance(
                id=int(runs.ids[n]),
                category=int(mask[rows[n], columns[n]]),
                box=tuple(boxes[n].tolist()),
                area=int(areas[n]),
                rle=texts[n],
                visible=1.0,
                truncated=bool(at_border[n]),
            )
            for n in range(len(runs.ids))
        )

    def _lines(self) -> Iterator[tuple[str, tuple[Instance, ...]]]:
        path = self._layout.instance_lines
        for number, record in enumerate(object_lines(self.root), start=1):
            strange = {one.category for one in record.instances if not self._known[one.category]}
            if strange:
                raise SourceError(
                    f"{path}:{number}: damaged line (categories {sorted(strange)}, which dataset.json does not have); "
                    "prepare the dataset again"
                )
            yield record.stem, record.instances


def object_lines(root: Path) -> Iterator[ObjectsLine]:
    """The lines of a folder's instances.jsonl; none if there is no such file. Raises SourceError for a damaged one."""
    path = PreparedLayout(root).instance_lines
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(_whole(file, path), start=1):
            try:
                yield parse_line(line)
            except ValueError as error:
                raise SourceError(f"{path}:{number}: damaged line ({error}); prepare the dataset again") from error


def parse_line(line: bytes) -> ObjectsLine:
    """A line of instances.jsonl. Raises ValueError if it is damaged."""
    return parsed(line, ObjectsLine)


def _whole(file: IO[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from bounded_lines(file)
    except ValueError as error:
        raise SourceError(f"{path}: {error}; prepare the dataset again") from error


def instance_categories(mask: npt.NDArray[np.uint8], numbers: npt.NDArray[np.uint16]) -> dict[int, int]:
    """Instance id → category id, by the first pixel of each instance. Both arrays are (H, W)."""
    ids, first = np.unique(numbers, return_index=True)
    return {int(i): int(mask.ravel()[at]) for i, at in zip(ids, first, strict=True) if i}
