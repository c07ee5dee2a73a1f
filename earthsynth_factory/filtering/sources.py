"""What a folder is, and its labelled images one by one, each with the files that are its own.

Builds and prepared datasets are read as they are, what the authors' `test.py` wrote by `earthsynth_output`, every other
format through `prepare`'s readers, images whole.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.open import is_dataset, open_dataset
from earthsynth_factory.datasets.prepared.masks import lacks_pictures
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Candidate, Slot
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.filtering.earthsynth_output import TEST_OUTPUT, open_test_output, without_controls
from earthsynth_factory.filtering.labelled_folder import LabelledFolder, LabelledImage, candidate
from earthsynth_factory.importers import imagery
from earthsynth_factory.importers.classes import ClassMap, read_map
from earthsynth_factory.importers.crops import CropRules, cut_crops
from earthsynth_factory.importers.given_path import name_of, open_path
from earthsynth_factory.importers.process_scene import check_area
from earthsynth_factory.importers.readers import READERS
from earthsynth_factory.importers.recognise import choose_reader
from earthsynth_factory.importers.scene import Notes, ReadContext, Reader, ReadRequest, Scene, Source
from earthsynth_factory.io.pictures import Picture, Rendering
from earthsynth_factory.io.stored import StoredFile

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


def open_folder(
    path: Path,
    workspace: Path,
    map_file: Path | None = None,
    kind: str = "auto",
    stretch: str | None = None,
    bands: tuple[int, int, int] | None = None,
) -> LabelledFolder:
    """Recognise and list `path`; nothing in it is changed. workspace: a folder of ours, where archives are unpacked.

    kind: `auto`, one of `prepare`'s, or one that an earlier run recognised, as `LabelledFolder.kind` has it. stretch, bands:
    how images in another's format become pictures of 8 bits, as `prepare` takes them; settled once in the workspace.

    Raises SourceError, InputError if it is of no known kind or holds no labelled image.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if is_dataset(path):
        folder = _stored(path)
    elif kind in ("auto", TEST_OUTPUT) and (made := open_test_output(path)):
        folder = made
    else:
        folder = _foreign(path, workspace, read_map(map_file), kind, stretch, bands)
    if not folder.entries:
        raise SourceError(f"{path}: no labelled image in it ({folder.recognised}); give the folder that holds them")
    return folder


def _stored(path: Path) -> LabelledFolder:
    store = open_dataset(path)
    if isinstance(store, PreparedDataset):
        entries: Sequence[LabelledImage] = ListedImages(list(store.about.items), partial(_prepared_entry, store))
        why = f"a prepared dataset: {store.name}"
    else:
        assert isinstance(store, BuildReader)
        entries = BuiltEntries(store)
        why = f"the output of a build: {store.name}"
    kind = "prepared" if isinstance(store, PreparedDataset) else "build"
    return LabelledFolder(path, kind, why, store.taxonomy, tuple(sorted(store.targets)), entries)


class ListedImages(Sequence[LabelledImage]):
    """Entries that are made when they are asked for, from what lists them."""

    def __init__(self, listed: Sequence[str], make: Callable[[str], LabelledImage]) -> None:
        self._listed, self._make = listed, make

    def __len__(self) -> int:
        return len(self._listed)

    def __getitem__(self, place: Any) -> Any:
        return self._make(self._listed[place])


class BuiltEntries(Sequence[LabelledImage]):
    """The accepted images of a build, read when they are asked for. Memory: 12 bytes an image."""

    def __init__(self, store: BuildReader) -> None:
        self._store = store
        self._shards, self._starts = array("i"), array("q")
        for shard, start, _ in store.placed_samples():
            self._shards.append(int(shard.root.name))
            self._starts.append(start)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: Any) -> Any:
        shard = self._store.layout.shard(self._shards[place])
        return built_entry(self._store, self._store.sample_at(shard, self._starts[place]))

    def __iter__(self) -> Iterator[LabelledImage]:
        return (built_entry(self._store, record) for record in self._store.samples())


def _prepared_entry(store: PreparedDataset, stem: str) -> LabelledImage:
    def load() -> Candidate:
        store.path_of(stem)
        numbers = store.read_numbers(stem)
        return candidate(store.read_image(stem), store.read_mask(stem), numbers, store.taxonomy, stem)

    return LabelledImage(stem, tuple(map(StoredFile, store.files_of(stem))), load)


def built_entry(store: BuildReader, record: SampleRecord) -> LabelledImage:
    """An accepted image of a build, with what it was made from."""
    files = store.masters(record)

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

    return LabelledImage(record.stem, files, load)


def _foreign(
    path: Path,
    workspace: Path,
    classes: ClassMap,
    kind: str,
    stretch: str | None,
    bands: tuple[int, int, int] | None,
) -> LabelledFolder:
    notes = Notes()
    reader, why, source = _opened(path, workspace / "unpacked", classes, notes, kind)
    classes.check(source.words, path)
    rendering = imagery.settle(workspace / "stretch.json", source.scenes, stretch, bands, notes)
    targets = sorted({found for word in source.words if (found := classes.find(word))})
    return LabelledFolder(
        path,
        reader.kind,
        why,
        classes.taxonomy,
        tuple(targets),
        list(_scenes(reader, source.scenes, classes, rendering)),
        notes.faults,
    )


def _opened(path: Path, workspace: Path, classes: ClassMap, notes: Notes, kind: str) -> tuple[Reader, str, Source]:
    """The reader for `path`, why it was chosen, and the dataset."""
    try:
        request = ReadRequest(open_path(path, workspace, notes), name_of(path), classes, notes)
        reader, why = choose_reader(request, READERS, kind)
        return reader, why, reader.open(request)
    except InputError as error:
        if said := (kind == "auto" and (without_controls(path) or _without_images(path))):
            raise SourceError(said) from error
        if path.suffix.lower() in ARCHIVES:
            raise InputError(f"{error}. An archive of another kind must be unpacked; give the folder then") from error
        raise


def _without_images(path: Path) -> str | None:
    """What to do about masks that have no images; None if that is not what is wrong."""
    if (pictures := lacks_pictures(path)) is None:
        return None
    return (
        f"{path}: masks without images, so there is nothing to judge; put the images into {pictures} under the same "
        "names, or have them made: `earthsynth-factory recipe init --for own-masks`"
    )


def _scenes(
    reader: Reader, scenes: Sequence[Scene], classes: ClassMap, rendering: Rendering
) -> Iterator[LabelledImage]:
    seen: Counter[str] = Counter()
    for scene in scenes:
        seen[scene.stem] += 1
        name = scene.stem if seen[scene.stem] == 1 else f"{scene.stem}-{seen[scene.stem]}"
        labels = scene.labels if isinstance(scene.labels, tuple | list) else (scene.labels,)
        own = (part for part in labels if isinstance(part, Path) and part not in scene.shared)
        files = tuple(map(StoredFile, (scene.image, *own)))
        yield LabelledImage(name, files, partial(_load_scene, reader, scene, classes, rendering), scene.split or "")


def _load_scene(reader: Reader, scene: Scene, classes: ClassMap, rendering: Rendering) -> Candidate:
    with Picture(scene.image, rendering) as picture:
        check_area(picture)
        labels = reader.labels(scene, ReadContext(picture.shape, classes, Notes(strict=True)))
        try:
            [crop] = cut_crops(picture, labels, classes, CropRules(0, 0.0, 0.0), Counter())
        finally:
            if labels.raster is not None:
                labels.raster.close()
    assert crop.image is not None
    return candidate(crop.image, crop.mask, crop.numbers, classes.taxonomy, str(scene.image))
