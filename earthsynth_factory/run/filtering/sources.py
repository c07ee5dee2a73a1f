"""What a folder is, and its labelled images one by one, each with the files that are its own.

Builds and prepared datasets are read as they are, every other format through `prepare`'s readers, images whole. One
format is read here alone: the pictures of EarthSynth's `test.py`, `<category>_<mask stem>_<i>.png`, whose control images
(raw class ids) lie in the same folder or below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from earthsynth_factory.conditions.masks.files import read_ids
from earthsynth_factory.domain.condition import Condition, InstanceMap, Mask, Origin
from earthsynth_factory.domain.sample import Candidate, Image, Slot
from earthsynth_factory.domain.taxonomy import Taxonomy, earthsynth
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.importers.classes import ClassMap, read_map
from earthsynth_factory.importers.crops import CropRules, cut
from earthsynth_factory.importers.datasets import open_dataset
from earthsynth_factory.importers.pictures import Picture
from earthsynth_factory.importers.prepared import PreparedDataset
from earthsynth_factory.importers.readers import choose
from earthsynth_factory.importers.readers.files import walk
from earthsynth_factory.importers.scene import Aid, Notes, Reader, Request, Scene, Source
from earthsynth_factory.store.layout import Layout
from earthsynth_factory.store.prepared_layout import PreparedLayout
from earthsynth_factory.store.reader import StoreReader
from earthsynth_factory.store.records import SampleRecord

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class Entry:
    """One labelled image. name: unique in its folder. files: its own, the image first. load raises SourceError."""

    name: str
    files: tuple[Path, ...]
    load: Callable[[], Candidate]

    def stamp(self) -> str:
        """Changes when one of its files does."""
        stats = [(path.name, path.stat()) if path.is_file() else (path.name, None) for path in self.files]
        return ";".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" if stat else f"{name} -" for name, stat in stats)


@dataclass(frozen=True)
class Folder:
    """An opened folder. recognised: what it was taken for and why. faults: what could not even be listed."""

    path: Path
    kind: str
    recognised: str
    taxonomy: Taxonomy
    targets: tuple[int, ...]
    entries: Sequence[Entry]
    faults: list[str] = field(default_factory=list)


def open_folder(path: Path, workspace: Path, map_file: Path | None = None) -> Folder:
    """Recognise and list `path`; nothing in it is changed. workspace: a folder of ours, where archives are unpacked.

    Raises SourceError, InputError where it is of no known kind or holds no labelled image.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if Layout(path).run.is_file() or PreparedLayout(path).dataset.is_file():
        folder = _stored(path)
    elif made := _test_output(path):
        folder = made
    else:
        folder = _foreign(path, workspace, read_map(map_file))
    if not folder.entries:
        raise SourceError(f"{path}: no labelled image in it ({folder.recognised}); give the folder that holds them")
    return folder


def candidate(image: Image, mask: Mask, numbers: InstanceMap | None, taxonomy: Taxonomy, origin: str) -> Candidate:
    """A real image as the rules see one. Its class is the largest countable one in the mask, else the largest.

    Raises SourceError where image, mask and numbers contradict one another.
    """
    if image.shape[:2] != mask.shape:
        raise SourceError(f"{origin}: the image has {image.shape[:2]} rows and columns, its mask {mask.shape}")
    strange = [int(one) for one in np.unique(mask) if int(one) and all(known.id != one for known in taxonomy)]
    if strange:
        raise SourceError(f"{origin}: its mask has the ids {strange}, which no category has")
    try:
        condition = Condition(
            mask=mask,
            instances=np.zeros_like(mask, np.uint16) if numbers is None else numbers,
            prompt="",
            metres_per_pixel=0.0,
            seed=0,
            origin=Origin(origin, origin),
            known_instances=numbers is not None,
        )
    except ValueError as error:
        raise SourceError(str(error)) from error
    return Candidate(Slot(0, _main_class(mask, taxonomy), "train", 0), 0, 0, condition, image)


def _main_class(mask: Mask, taxonomy: Taxonomy) -> int | None:
    counts = np.bincount(mask.ravel(), minlength=256)
    present = [int(one) for one in np.flatnonzero(counts) if one]
    things = [one for one in present if taxonomy[one].thing]
    return max(things or present, key=lambda one: counts[one], default=None)


def _stored(path: Path) -> Folder:
    store = open_dataset(path)
    if isinstance(store, PreparedDataset):
        entries = [_prepared_entry(store, stem) for stem in store.about.items]
        why = f"a prepared dataset: {store.name}"
    else:
        assert isinstance(store, StoreReader)
        entries = [_built_entry(store, record) for record in store.samples()]
        why = f"the output of a build: {store.name}"
    kind = "prepared" if isinstance(store, PreparedDataset) else "build"
    return Folder(path, kind, why, store.taxonomy, tuple(sorted(store.targets)), entries)


def _prepared_entry(store: PreparedDataset, stem: str) -> Entry:
    layout = PreparedLayout(store.root)
    listed = store.about.items[stem].image or f"{stem}.png"
    try:
        image = store.path_of(stem)
    except SourceError:
        image = layout.image(listed)  # said when it is loaded

    def load() -> Candidate:
        store.path_of(stem)
        numbers = store.read_numbers(stem)
        return candidate(store.read_image(stem), store.read_mask(stem), numbers, store.taxonomy, stem)

    return Entry(stem, (image, layout.mask(stem), layout.instances(stem)), load)


def _built_entry(store: StoreReader, record: SampleRecord) -> Entry:
    shard = store.shard_of(record)
    files = (shard.image(record.stem), shard.mask(record.stem), shard.instances(record.stem))

    def load() -> Candidate:
        visible = MappingProxyType({instance.id: instance.visible for instance in record.instances})
        slot = Slot(record.slot, record.category, record.split, 0)
        image, mask, numbers = store.image(record), store.mask(record), store.instances(record)
        try:
            condition = Condition(
                mask,
                numbers,
                record.prompt,
                record.metres_per_pixel,
                record.condition_seed,
                record.origin,
                True,
                visible,
            )
        except ValueError as error:
            raise SourceError(f"{files[1]}: {error}") from error
        return Candidate(slot, record.attempt, record.image_seed, condition, image)

    return Entry(record.stem, files, load)


def _foreign(path: Path, workspace: Path, classes: ClassMap) -> Folder:
    notes = Notes()
    reader, why, source = _opened(path, Request(path, workspace / "unpacked", classes, notes))
    classes.check(source.words, path)
    targets = sorted({found for word in source.words if (found := classes.find(word))})
    return Folder(
        path,
        reader.kind,
        why,
        classes.taxonomy,
        tuple(targets),
        list(_scenes(reader, source.scenes, classes)),
        notes.faults,
    )


def _opened(path: Path, request: Request) -> tuple[Reader, str, Source]:
    """The reader for `path`, why it was chosen, and the dataset."""
    try:
        reader, why = choose(path)
        return reader, why, reader.open(request)
    except InputError as error:
        if path.suffix.lower() in ARCHIVES:
            raise InputError(f"{error}. An archive of another kind must be unpacked; give the folder then") from error
        raise


def _scenes(reader: Reader, scenes: Sequence[Scene], classes: ClassMap) -> Iterator[Entry]:
    seen: Counter[str] = Counter()
    for scene in scenes:
        seen[scene.stem] += 1
        name = scene.stem if seen[scene.stem] == 1 else f"{scene.stem}-{seen[scene.stem]}"
        labels = scene.labels if isinstance(scene.labels, tuple | list) else (scene.labels,)
        files = (scene.image, *(part for part in labels if isinstance(part, Path)))
        yield Entry(name, files, partial(_load_scene, reader, scene, classes))


def _load_scene(reader: Reader, scene: Scene, classes: ClassMap) -> Candidate:
    with Picture(scene.image) as picture:
        labels = reader.labels(scene, Aid(picture.shape, classes, Notes(strict=True)))
        try:
            [crop] = cut(picture, labels, classes, CropRules(0, 0.0, 0.0), Counter())
        finally:
            if labels.raster is not None:
                labels.raster.close()
    assert crop.image is not None
    return candidate(crop.image, crop.mask, crop.numbers, classes.taxonomy, str(scene.image))


def _test_output(path: Path) -> Folder | None:
    """The folder as what `test.py` writes; None where no picture is named so and has its control image."""
    if not path.is_dir():
        return None
    pictures = [file for file in walk(path) if file.suffix.lower() == ".png"]
    stems = {file.stem: file for file in pictures}
    taxonomy = earthsynth()
    prefixes = {category.name.replace(" ", mark): category.id for category in taxonomy if category.id for mark in "_ "}
    entries, targets = [], set()
    for picture in pictures:
        body, _, number = picture.stem.rpartition("_")
        # Of `road_tile` and a class that begins alike the longer name is meant.
        names = sorted((name for name in prefixes if body.startswith(f"{name}_")), key=len, reverse=True)
        control = next((stems[body[len(name) + 1 :]] for name in names if body[len(name) + 1 :] in stems), None)
        if control is not None and number.isdigit() and control != picture:
            category = next(prefixes[name] for name in names if body[len(name) + 1 :] == control.stem)
            targets.add(category)
            entries.append(Entry(picture.stem, (picture,), partial(_load_test, picture, control, category)))
    if not entries:
        return None
    why = f"output of EarthSynth's test.py: pictures such as {entries[0].files[0].name} beside their control images"
    return Folder(path, "earthsynth-test", why, taxonomy, tuple(sorted(targets)), entries)


def _load_test(picture: Path, control: Path, category: int) -> Candidate:
    with Picture(picture) as opened:
        image = opened.rgb(0, opened.shape[0])
    ids = read_ids(control).astype(np.uint8)
    # The picture was asked for one category of the mask alone.
    made = candidate(image, np.where(ids == category, ids, 0).astype(np.uint8), None, earthsynth(), str(picture))
    return Candidate(Slot(0, category, "test", 0), 0, 0, made.condition, image)
