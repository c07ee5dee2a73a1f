"""A build's committed shards packed into tars, or unpacked into loose files. Markers stay as they are, and so does all else.

Killed at any moment, the folder is whole and the same command goes on: what replaces a form is complete before that goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.build.shard_journal import read_records, sweep_shard
from earthsynth_factory.build.sharing.whole_folder import whole_folder
from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.marker import Marker, marker_difference, read_marker
from earthsynth_factory.datasets.build.masters import masters
from earthsynth_factory.datasets.build.packed import PackedSample, member_names, read_index, sealing
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import flush, new_file, remove
from earthsynth_factory.io.claim import claimed
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.tar_members import packed

MASTER = f"{'[0-9]' * 7}.png"
"""Matches what a sample's files are called in their folders."""

Watch = Callable[[int], None]
"""Called with how many shards were looked at since."""


@dataclass(frozen=True, slots=True)
class Repacked:
    """changed: shards that have another form now; open: those that are not committed and were left as they are."""

    changed: int
    open: int


def pack_shards(folder: Path, watch: Watch = lambda _: None) -> Repacked:
    """Put the files of every committed shard into a tar. Raises StoreError, naming it, at a shard that is not what was
    committed; FolderInUse, DiskError, SourceError.
    """
    return _each(folder, lambda layout: not _is_packed_alone(layout), _pack, watch)


def unpack_shards(folder: Path, watch: Watch = lambda _: None) -> Repacked:
    """Make loose files of every committed shard's tar. Raises as `pack_shards`."""
    return _each(folder, lambda layout: layout.packed.is_file(), _unpack, watch)


def _each(
    folder: Path, wanted: Callable[[ShardLayout], bool], change: Callable[[ShardLayout], None], watch: Watch
) -> Repacked:
    changed = unfinished = 0
    with _held(folder) as store:
        for layout in map(store.layout.shard, range(store.shards[1])):
            marker = read_marker(layout)
            if marker is None:
                unfinished += 1
            else:
                sweep_shard(layout)
                if wanted(layout):
                    _check(layout, marker)
                    change(layout)
                    changed += 1
            watch(1)
    return Repacked(changed, unfinished)


def _check(layout: ShardLayout, marker: Marker) -> None:
    """Raises StoreError, naming it, if the shard is not what was committed."""
    write_below(layout.packed, layout.root)
    if fault := marker_difference(layout, marker, digests=True):
        raise StoreError(f"{layout.root}: {fault}; give the build command again, which mends it, then this one")


@contextmanager
def _held(folder: Path) -> Iterator[BuildReader]:
    """The build, with nobody else at work on it."""
    store = BuildReader(folder)
    _ = store.run
    with claimed(folder, "build", {}, folders=("shards",), ours=True), whole_folder(store.layout):
        yield store


def _is_packed_alone(layout: ShardLayout) -> bool:
    """Whether the shard is packed, and nothing loose is left."""
    return layout.packed.is_file() and not any(_is_loose(folder) for folder in layout.folders[:3])


def _is_loose(folder: Path) -> bool:
    """Whether a folder of masters has some, or nothing; one with nothing but a user's own files counts as gone."""
    return folder.is_dir() and (any(folder.glob(MASTER)) or not any(folder.iterdir()))


def _pack(layout: ShardLayout) -> None:
    if not layout.packed.is_file():
        _write_tar(layout)
    for folder in layout.folders[:3]:
        for file in folder.glob(MASTER):
            remove(file)
        with suppress(OSError):  # gone, or somebody keeps something of his own there
            folder.rmdir()


def _write_tar(layout: ShardLayout) -> None:
    samples: list[PackedSample] = []
    end = 0
    with new_file(layout.packed) as tar:
        for _, record in read_records(layout.samples, SampleRecord)[0]:
            image, mask, instances = (file.read_bytes() for file in masters(layout, record.stem))
            samples.append(PackedSample(record.slot, end, (len(image), len(mask), len(instances))))
            tar.writelines(map(packed, member_names(record.stem), (image, mask, instances)))
            end = samples[-1].end
        tar.write(sealing(samples))


def _unpack(layout: ShardLayout) -> None:
    made: list[Path] = []
    for sample in read_index(layout.packed):
        for file, path in zip(masters(layout, sample.stem), layout.masters(sample.stem), strict=True):
            file.put(path, link=False)
            made.append(path)
    flush(made)
    remove(layout.packed)
