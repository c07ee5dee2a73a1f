"""A shard that one task makes for itself, in a folder of its own, and puts among the others once it is whole.

Who makes it is settled by a lease, so that as a rule nobody else does. If two do all the same, each writes into its own
folder; whoever is done first puts its own in place, the other throws its own away. What a dead task left is copied: it may
live, and then goes on writing there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from earthsynth_factory.build.set_aside import settled_in
from earthsynth_factory.build.shard_journal import read_records
from earthsynth_factory.build.topup import is_settled, reopen_shard
from earthsynth_factory.datasets.build.layout import WHOLE, BuildLayout, ShardLayout, shard_key
from earthsynth_factory.datasets.build.masters import has_masters
from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord
from earthsynth_factory.errors import FactoryError
from earthsynth_factory.io.atomic import create_bytes, disk_error, put_file, remove, write_bytes
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.lease import Lease, leased, live_leases
from earthsynth_factory.io.log import LOGGER
from earthsynth_factory.recipe.schema import RFilterBlock


@contextmanager
def private_shard(
    layout: BuildLayout, number: int, slots: range, rfilter: RFilterBlock
) -> Iterator[ShardLayout | None]:
    """Where to make a shard, with all that is settled of it; when the block ends with its marker written, it is put in
    place. None if there is nothing to do, or a live task is at it. Raises DiskError, StoreError.
    """
    final = layout.shard(number)
    with leased(layout.work, shard_key(number)) as lease:
        # Looked at behind our lease, as a build of the whole folder looks behind its own: one of the two sees the other.
        if lease is None or WHOLE in live_leases(layout.work, WHOLE) or is_settled(final, slots, rfilter):
            yield None
            return
        mine = layout.private_shard(number, lease.token)
        _begin(layout, number, mine, slots, rfilter)
        try:
            yield mine
        except FactoryError as error:
            if lease.held:
                raise
            LOGGER.warning("shard %s: taken over by another task, which removed what was made here (%s)", number, error)
            return
        if mine.marker.is_file():
            _commit(layout, number, mine, lease)


def _begin(layout: BuildLayout, number: int, mine: ShardLayout, slots: range, rfilter: RFilterBlock) -> None:
    """Copy what is settled of the shard into `mine`, from whoever came farthest."""
    final = layout.shard(number)
    remove(write_below(final.marker, layout.root))  # if there is one, more is wanted of the shard
    others = [final, *layout.private_shards().get(number, [])]
    copy_settled(max(others, key=settled_in), mine, slots)
    reopen_shard(mine, slots, rfilter)


def copy_settled(source: ShardLayout, target: ShardLayout, slots: range) -> None:
    """Bring what is settled of a shard into a new folder: pixels as links if the file system has them, for nobody writes
    into a file that is there; a tar, which grows, as a copy; journals up to the first slot without a line, since somebody may
    be writing them.

    Raises DiskError.
    """
    samples, rejects = read_records(source.samples, SampleRecord)[0], read_records(source.rejects, RejectRecord)[0]
    _put_tar(source, target)
    settled = {record.slot for _, record in samples} | {record.slot for _, record in rejects if record.short}
    end = next((slot for slot in slots if slot not in settled), slots.stop)
    for _, record in samples:
        if record.slot < end and not _put_masters(source, target, record.stem):
            end = record.slot
    for path in (source.earlier_samples, source.earlier_rejects):
        if path.is_file() and not path.is_symlink():
            put_file(path, target.root / path.name, link=False)
    for _, record in read_records(source.earlier_samples, SampleRecord)[0]:
        _put_masters(source, target, record.stem)
    for path in source.rejected_images():
        if int(path.name[:7]) < end:
            put_file(path, target.root / path.parent.name / path.name, link=True)
    write_bytes(target.rejects, b"".join(line for line, record in rejects if record.slot < end))
    write_bytes(target.samples, b"".join(line for line, record in samples if record.slot < end))


def _put_tar(source: ShardLayout, target: ShardLayout) -> None:
    """Bring the tar of a packed shard, if it has one; a torn end does no harm."""
    try:
        if source.packed.is_file() and not source.packed.is_symlink():
            put_file(source.packed, target.packed, link=False)
    except FactoryError:
        if source.packed.is_file():
            raise  # else it was removed meanwhile, by whoever committed the shard


def _put_masters(source: ShardLayout, target: ShardLayout, stem: str) -> bool:
    """Bring a sample's files, unless they came with the tar; False if they are not all there."""
    if has_masters(target, stem):
        return True
    pairs = list(zip(source.masters(stem), target.masters(stem), strict=True))
    if not has_masters(source, stem) or any(path.is_symlink() for path, _ in pairs):
        return False
    try:
        for path, place in pairs:
            put_file(path, place, link=True)
    except FactoryError:
        if has_masters(source, stem):
            raise
        return False  # removed meanwhile, by whoever committed the shard
    return True


def _commit(layout: BuildLayout, number: int, mine: ShardLayout, lease: Lease) -> None:
    """Put a whole shard in place, its marker last; throw it away if another task was first."""
    final = layout.shard(number)
    if lease.held and not final.marker.is_file():
        put_in_place(layout, number, mine)
        with suppress(FileExistsError):  # then another task put the same in place, between two of our steps
            create_bytes(final.marker, read_bounded(mine.marker))
        discard(layout, number)
    else:
        shutil.rmtree(mine.root, ignore_errors=True)
        remove(mine.marker)


def put_in_place(layout: BuildLayout, number: int, mine: ShardLayout) -> None:
    """Make a folder the shard of this number; what was there so far goes aside, and to whoever comes next if we die between.

    Raises DiskError.
    """
    final = layout.shard(number)
    try:
        write_below(final.root, layout.root).parent.mkdir(parents=True, exist_ok=True)
        if final.root.is_dir():
            final.root.rename(mine.root.with_name(f"{mine.root.name}-0"))
        mine.root.rename(final.root)
    except OSError as error:
        raise disk_error(final.root, error) from error


def discard(layout: BuildLayout, number: int) -> None:
    """Remove what tasks made of a shard for themselves."""
    for shard in layout.private_shards().get(number, []):
        shutil.rmtree(shard.root, ignore_errors=True)
    for path in layout.work.glob(f"{shard_key(number)}-*.json"):
        remove(path)
